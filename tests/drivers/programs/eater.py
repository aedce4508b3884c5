"""Takes memory until there is none."""

taken = []
print("eating", flush=True)
while True:
    taken.append(bytearray(1 << 20))
