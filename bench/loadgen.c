/* The load generator: one workload against one server, one line of JSON with the figures.
 *
 *   loadgen WORKLOAD --proto qd|echo|redis|nats|mqtt|zmtp|dbus (--unix PATH | --tcp PORT) [options] [-- command to start]
 *
 *   w1    ping round trip, one at a time        --seconds, or --count; --idle N other connections; --change
 *   w2    pipelined requests                    --seconds, --clients, --window (in flight per client)
 *   w3    fan-out                               --seconds, --readers, --window (1: one at a time)
 *   w4    connect, register, goodbye            --seconds, --clients (at once), --quiet (subscribe to nothing)
 *   w5    SIGKILL to the notice of it           --count
 *   w6    memory per idle connection            --clients, --server-pid
 *   w8    start the command, to the first reply --count
 *   wall  run the command to its end            --count
 *
 * Rules: one thread, one core at most (`cpu` is its share of one: above 0.9 the figure is the client's, not the
 * server's); with --server-pid `served_us` is the server's own processor time for each operation. Nothing is formatted
 * and nothing allocated inside a measured loop. What comes back is counted, and the content of the last of it checked.
 * --cpu N pins it. An alarm ends a run that hangs.
 */
#include "processes.h"
#include <getopt.h>
#include <sched.h>
#include <sys/epoll.h>

static void watch(int epoll, int fd, void *mark)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = mark};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

static int watch_all(struct conn *conns, int n)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < n; i++)
        watch(epoll, conns[i].fd, &conns[i]);
    return epoll;
}

/* --- W1: one command, its reply, the next --- */

static int run_w1(const struct options *o)
{
    const struct proto *p = o->proto;
    if (o->change && !p->change.n)
        die("%s has no state-changing command here", p->name);
    open_conns(o, IDLER, o->idle);
    struct conn c = open_conn(p, &o->to, CALLER);
    fence(p, &c, 1);
    struct ring ring = make_ring(o->change ? p->change : p->ping, 256);
    unsigned long units = o->change ? (unsigned long)p->change_units : 1;
    int max = o->count ? o->count : 4000000, n = 0, warm_up = o->count ? 0 : 100;
    double *times = malloc((size_t)max * sizeof *times);
    double served = served_s(o), cpu = cpu_s(), start = now_s(), end = start + o->seconds, before, after = start;
    while (n < max && (o->count || after < end)) {
        c.units = 0;
        before = now_s();
        send_commands(&ring, &c, 1);
        while (c.units < units)
            receive(p, &c, scratch);
        after = now_s();
        if (warm_up)
            warm_up--;
        else
            times[n++] = after - before;
    }
    cpu = (cpu_s() - cpu) / (after - start);
    served = served_s(o) - served;
    if (!(o->change ? tail_has(&c, p->changed, 0) : tail_has(&c, p->pong, last_nonce(&ring, &c))))
        die("w1: the last reply is not the last command's: %.*s", (int)c.tail_len, c.tail);
    result_times("w1", times, n, 1e6, "us", cpu, served);
    return 0;
}

/* --- W2: `window` requests in flight on each connection --- */

static unsigned long refill(const struct options *o, const struct ring *ring, int epoll, int sending)
{
    struct epoll_event ready[64];
    unsigned long replies = 0;
    int k = epoll_wait(epoll, ready, 64, -1);
    for (int i = 0; i < k; i++) {
        struct conn *c = ready[i].data.ptr;
        unsigned long units = receive(o->proto, c, scratch);
        if (c->units > c->sent)
            die("w2: more replies than requests");
        if (sending)
            send_commands(ring, c, (unsigned)units);
        replies += units;
    }
    return replies;
}

static int run_w2(const struct options *o)
{
    const struct proto *p = o->proto;
    struct conn *conns = open_conns(o, CALLER, o->clients);
    fence(p, conns, o->clients);
    int epoll = watch_all(conns, o->clients);
    struct ring ring = make_ring(p->ping, o->window);
    unsigned long replies = 0, waiting = 0;
    double served = served_s(o), cpu = cpu_s(), start = now_s(), end = start + o->seconds, elapsed;
    for (int i = 0; i < o->clients; i++)
        send_commands(&ring, &conns[i], ring.window);
    while (now_s() < end)
        replies += refill(o, &ring, epoll, 1);
    elapsed = now_s() - start;
    cpu = (cpu_s() - cpu) / elapsed;
    served = served_s(o) - served;
    for (int i = 0; i < o->clients; i++)
        waiting += conns[i].sent - conns[i].units;
    while (waiting)
        waiting -= refill(o, &ring, epoll, 0);
    for (int i = 0; i < o->clients; i++)
        if (!tail_has(&conns[i], p->pong, last_nonce(&ring, &conns[i])))
            die("w2: the last reply is not the last request's: %.*s", (int)conns[i].tail_len, conns[i].tail);
    result("{\"workload\":\"w2\",\"count\":%lu,\"per_s\":%.0f,\"clients\":%d,\"window\":%u,\"cpu\":%.3f,\"served_us\":%.3f}",
           replies, (double)replies / elapsed, o->clients, o->window, cpu, served / (double)replies * 1e6);
    return 0;
}

/* --- W3: every reader gets every event --- */

/* Wait until each reader has `target` units; the writer's own replies are read and dropped. */
static void deliver(const struct options *o, int epoll, const struct conn *writer, unsigned long target, unsigned nonce)
{
    struct epoll_event ready[512];
    int pending = o->readers;
    while (pending) {
        int k = epoll_wait(epoll, ready, 512, -1);
        for (int i = 0; i < k; i++) {
            struct conn *c = ready[i].data.ptr;
            receive(o->proto, c, scratch);
            if (c == writer || c->units < target)
                continue;
            if (c->units > target || !tail_has(c, o->proto->delivery, nonce))
                die("w3: %lu units where %lu were due: %.*s", c->units, target, (int)c->tail_len, c->tail);
            pending--;
        }
    }
}

static int run_w3(const struct options *o)
{
    const struct proto *p = o->proto;
    struct conn *conns = open_conns(o, READER, o->readers), *writer = &conns[o->readers];
    *writer = open_conn(p, &o->to, WRITER);
    fence(p, conns, o->readers);
    int epoll = watch_all(conns, o->readers + 1);
    struct ring ring = make_ring(p->publish, 256);
    double served = served_s(o), cpu = cpu_s(), start = now_s(), end = start + o->seconds, elapsed;
    while (now_s() < end) {
        send_commands(&ring, writer, o->window);
        deliver(o, epoll, writer, writer->sent * (unsigned long)p->delivery_units, last_nonce(&ring, writer));
    }
    elapsed = now_s() - start;
    cpu = (cpu_s() - cpu) / elapsed;
    served = served_s(o) - served;
    double deliveries = (double)writer->sent * o->readers;
    result("{\"workload\":\"w3\",\"count\":%lu,\"per_s\":%.0f,\"readers\":%d,\"window\":%u,\"cpu\":%.3f,\"served_us\":%.4f}",
           writer->sent, deliveries / elapsed, o->readers, o->window, cpu, served / deliveries * 1e6);
    return 0;
}

/* --- W4: connect, register, read `registered`, goodbye, read to the end of file --- */

struct cycle {
    int fd, leaving;
    size_t carry;
    char tail[64];
};

static void begin_cycle(const struct options *o, enum role role, int epoll, struct cycle *y)
{
    struct conn c = dial(o->proto, &o->to, role);
    *y = (struct cycle){.fd = c.fd};
    watch(epoll, c.fd, y);
    say(&c, o->proto->hello[role], next_pid());
}

/* Has the text come? Keeps what may be the text's beginning for the next read. */
static int scan(struct cycle *y, struct text text)
{
    memcpy(scratch, y->tail, y->carry);
    ssize_t n = read(y->fd, scratch + y->carry, sizeof scratch - y->carry);
    if (n <= 0)
        die("w4: the server closed a connection before its greeting");
    size_t have = y->carry + (size_t)n, keep = have < text.n - 1 ? have : text.n - 1;
    int found = holds(scratch, have, text);
    memcpy(y->tail, scratch + have - keep, keep);
    y->carry = keep;
    return found;
}

/* One step of one cycle; 1 when the cycle is complete. */
static int step_cycle(const struct options *o, enum role role, struct cycle *y)
{
    const struct proto *p = o->proto;
    if (!y->leaving) {
        if (!scan(y, p->ready[role]))
            return 0;
        if (!p->bye.n)
            return 1;
        y->leaving = 1;
        write_all(y->fd, p->bye.at, p->bye.n);
        return 0;
    }
    ssize_t n = read(y->fd, scratch, sizeof scratch);
    if (n < 0)
        die("w4: the server broke a connection off");
    return n == 0;
}

static int run_w4(const struct options *o)
{
    enum role role = o->quiet ? IDLER : CALLER;
    struct cycle *cycles = calloc((size_t)o->clients, sizeof *cycles);
    struct epoll_event ready[512];
    int epoll = epoll_create1(EPOLL_CLOEXEC), alive = o->clients;
    unsigned long done = 0;
    double served = served_s(o), cpu = cpu_s(), start = now_s(), end = start + o->seconds, now = start, elapsed = 0;
    for (int i = 0; i < o->clients; i++)
        begin_cycle(o, role, epoll, &cycles[i]);
    while (alive) {
        int k = epoll_wait(epoll, ready, 512, -1);
        for (int i = 0; i < k; i++) {
            struct cycle *y = ready[i].data.ptr;
            if (!step_cycle(o, role, y))
                continue;
            close(y->fd);
            done++;
            if (now < end)
                begin_cycle(o, role, epoll, y);
            else
                alive--;
        }
        now = now_s();
    }
    elapsed = now - start;
    cpu = (cpu_s() - cpu) / elapsed;
    served = served_s(o) - served;
    result("{\"workload\":\"w4\",\"count\":%lu,\"per_s\":%.0f,\"clients\":%d,\"cpu\":%.3f,\"served_us\":%.3f}", done,
           (double)done / elapsed, o->clients, cpu, served / (double)done * 1e6);
    return 0;
}

/* --- options --- */

static const struct workload {
    const char *name;
    int (*run)(const struct options *);
} WORKLOADS[] = {{"w1", run_w1}, {"w2", run_w2}, {"w3", run_w3}, {"w4", run_w4},
                 {"w5", run_w5}, {"w6", run_w6}, {"w8", run_w8}, {"wall", run_wall}};

static const struct proto *find_proto(const char *name)
{
    static struct proto put_together;
    for (size_t i = 0; i < sizeof PROTOS / sizeof *PROTOS; i++)
        if (!strcmp(PROTOS[i].name, name))
            return &PROTOS[i];
    put_together = dbus();
    if (strcmp(put_together.name, name))
        die("no protocol %s", name);
    return &put_together;
}

static struct options read_options(int argc, char **argv)
{
    static const struct option NAMES[] = {
        {"proto", 1, 0, 'p'}, {"unix", 1, 0, 'u'},  {"tcp", 1, 0, 't'},    {"seconds", 1, 0, 's'}, {"count", 1, 0, 'n'},
        {"clients", 1, 0, 'c'}, {"readers", 1, 0, 'r'}, {"idle", 1, 0, 'i'}, {"server-pid", 1, 0, 'd'}, {"cpu", 1, 0, 'k'},
        {"window", 1, 0, 'w'}, {"change", 0, 0, 'g'}, {"quiet", 0, 0, 'q'}, {0, 0, 0, 0}};
    struct options o = {.proto = PROTOS, .seconds = 0.5, .clients = 1, .readers = 1, .window = 256, .cpu = -1};
    int c;
    while ((c = getopt_long(argc, argv, "+", NAMES, NULL)) != -1)
        switch (c) {
        case 'p': o.proto = find_proto(optarg); break;
        case 'u': o.to.path = optarg; break;
        case 't': o.to.port = atoi(optarg); break;
        case 's': o.seconds = atof(optarg); break;
        case 'n': o.count = atoi(optarg); break;
        case 'c': o.clients = atoi(optarg); break;
        case 'r': o.readers = atoi(optarg); break;
        case 'i': o.idle = atoi(optarg); break;
        case 'd': o.server_pid = atoi(optarg); break;
        case 'k': o.cpu = atoi(optarg); break;
        case 'w': o.window = (unsigned)atoi(optarg); break;
        case 'g': o.change = 1; break;
        case 'q': o.quiet = 1; break;
        default: exit(2);
        }
    if (o.window < 1 || o.window > 9000)
        die("--window is 1 to 9000: nonces have four digits");
    o.command = argv + optind;
    return o;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc < 2)
        die("which workload?");
    struct options o = read_options(argc - 1, argv + 1);
    signal(SIGPIPE, SIG_IGN);
    alarm(60 + 2 * (unsigned)o.seconds);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (o.cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(o.cpu, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    for (size_t i = 0; i < sizeof WORKLOADS / sizeof *WORKLOADS; i++)
        if (!strcmp(WORKLOADS[i].name, argv[1]))
            return WORKLOADS[i].run(&o);
    die("no workload %s", argv[1]);
}
