// Takes memory until there is none.
const taken = [];
for (;;) taken.push(Buffer.alloc(1 << 20, 1));
