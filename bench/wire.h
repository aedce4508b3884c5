/* Sockets, clocks and counting.
 *
 * Rules: every socket is blocking and is read once per readiness, so no read ever waits; bursts are kept far below
 * a socket's buffer by their window, so no write ever waits for long. A fault of any kind ends the program with a
 * line on standard error: a figure is either right or absent.
 */
#ifndef WIRE_H
#define WIRE_H

#define _GNU_SOURCE
#include "protocols.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)
#define TAIL_BYTES 256 /* longer than any unit whose content is checked */
#define FIRST_NONCE 1000u /* four digits, always */

struct conn {
    int fd;
    unsigned long units; /* received since the greeting */
    unsigned long sent;  /* commands sent since the greeting */
    size_t tail_len;
    char tail[TAIL_BYTES]; /* the last bytes received, to check what came last */
    int framed;            /* of a binary protocol: the preamble is over */
    size_t due;            /* bytes still to come of the frame, or the preamble, that has begun */
    size_t head_len;       /* of a frame whose length is not known yet */
    char head[FRAME_HEAD_BYTES];
};

/* Where the server listens: a Unix path, or a port of the loopback. */
struct address {
    const char *path;
    int port;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "loadgen: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, errno ? " (%s)\n" : "\n", strerror(errno));
    va_end(args);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* This process's own processor time, in seconds. */
static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A connected socket, or -1 with errno. A TCP socket is reset when closed: thousands of cycles leave no TIME_WAIT. */
static int try_connect(const struct address *to)
{
    int fd = socket(to->path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (to->path)
        snprintf(un.sun_path, sizeof un.sun_path, "%s", to->path);
    const struct sockaddr *sa = to->path ? (void *)&un : (void *)&in;
    if (connect(fd, sa, to->path ? sizeof un : sizeof in) < 0) {
        close(fd);
        return -1;
    }
    if (!to->path) {
        int on = 1;
        struct linger reset = {1, 0};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    return fd;
}

static int connect_to(const struct address *to)
{
    int fd = try_connect(to);
    if (fd < 0)
        die("connect to %s:%d", to->path ? to->path : "127.0.0.1", to->port);
    return fd;
}

static void write_all(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0)
            die("write");
        bytes += k;
        n -= (size_t)k;
    }
}

/* Newlines among n bytes: 16 at a time, which every compiler has an instruction for, so that counting deliveries costs
 * a fraction of reading them. A lane counts to 255 at most, then its sum is taken. */
static unsigned long count_lines(const char *p, size_t n)
{
    typedef unsigned char vec __attribute__((vector_size(16)));
    const vec newline = (vec){0} + '\n';
    unsigned long lines = 0;
    while (n >= sizeof(vec)) {
        vec sum = {0};
        size_t rounds = n / sizeof(vec) < 255 ? n / sizeof(vec) : 255;
        n -= rounds * sizeof(vec);
        for (; rounds--; p += sizeof(vec)) {
            vec v;
            memcpy(&v, p, sizeof v);
            sum -= (vec)(v == newline);
        }
        for (size_t i = 0; i < sizeof(vec); i++)
            lines += sum[i];
    }
    for (; n--; p++)
        lines += *p == '\n';
    return lines;
}

static void keep_tail(struct conn *c, const char *p, size_t n)
{
    if (n >= TAIL_BYTES) {
        memcpy(c->tail, p + n - TAIL_BYTES, TAIL_BYTES);
        c->tail_len = TAIL_BYTES;
        return;
    }
    size_t keep = c->tail_len < TAIL_BYTES - n ? c->tail_len : TAIL_BYTES - n;
    memmove(c->tail, c->tail + c->tail_len - keep, keep);
    memcpy(c->tail + keep, p, n);
    c->tail_len = keep + n;
}

/* Frames that end among n bytes. Most begin and end in one read; the head of one that does not is gathered by byte. */
static unsigned long count_frames(const struct proto *p, struct conn *c, const char *bytes, size_t n)
{
    unsigned long frames = 0;
    while (n) {
        if (!c->due && !c->head_len)
            c->due = p->frame(bytes, n);
        if (!c->due) {
            c->head[c->head_len++] = *bytes++;
            n--;
            size_t length = p->frame(c->head, c->head_len);
            if (!length)
                continue;
            c->due = length - c->head_len;
            c->head_len = 0;
        }
        size_t taken = n < c->due ? n : c->due;
        c->due -= taken;
        bytes += taken;
        n -= taken;
        if (!c->due) {
            frames += (unsigned long)c->framed;
            c->framed = 1;
        }
    }
    return frames;
}

static unsigned long count_units(const struct proto *p, struct conn *c, const char *bytes, size_t n)
{
    return p->frame ? count_frames(p, c, bytes, n) : count_lines(bytes, n);
}

/* Is no unit under way? */
static int is_whole(const struct proto *p, const struct conn *c)
{
    return p->frame ? !c->due && !c->head_len : c->tail_len && c->tail[c->tail_len - 1] == '\n';
}

static int holds(const char *bytes, size_t n, struct text text)
{
    return memmem(bytes, n, text.at, text.n) != NULL;
}

/* Read once, count the units, answer a server's own probe (which is not counted). Ends the program at end of file. */
static unsigned long receive(const struct proto *p, struct conn *c, char *buf)
{
    ssize_t n = read(c->fd, buf, READ_BYTES);
    if (n <= 0)
        die("%s: the server closed a connection after: %.*s", p->name, (int)c->tail_len, c->tail);
    unsigned long units = count_units(p, c, buf, (size_t)n);
    if (p->probe.n && holds(buf, (size_t)n, p->probe)) {
        write_all(c->fd, p->probe_answer.at, p->probe_answer.n);
        units--;
    }
    keep_tail(c, buf, (size_t)n);
    c->units += units;
    return units;
}

/* Read until `text` has come and its unit is whole. Text may span reads as far as the tail reaches. */
static void await(const struct proto *p, struct conn *c, struct text text)
{
    char buf[65536];
    int found = 0;
    do {
        size_t carry = c->tail_len < 64 ? c->tail_len : 64;
        memcpy(buf, c->tail + c->tail_len - carry, carry);
        ssize_t n = read(c->fd, buf + carry, sizeof buf - carry);
        if (n <= 0)
            die("%s: no %.*s, but end of file after: %.*s", p->name, (int)text.n, text.at, (int)c->tail_len, c->tail);
        count_units(p, c, buf + carry, (size_t)n);
        found = found || holds(buf, carry + (size_t)n, text);
        keep_tail(c, buf + carry, (size_t)n);
    } while (!found || !is_whole(p, c));
    c->tail_len = 0;
}

/* Does the last that came hold this text with this nonce? */
static int tail_has(const struct conn *c, struct text text, unsigned nonce)
{
    char mark[TEXT_BYTES];
    return memmem(c->tail, c->tail_len, mark, render(mark, text, nonce)) != NULL;
}

/* A pid of ten digits that no process has and no other connection of this machine claimed: above every pid_max. */
static unsigned next_pid(void)
{
    static unsigned counter;
    return 1000000000u + (unsigned)(getpid() % 3000) * 1000000u + counter++ % 1000000u;
}

static struct text by_role(const struct text texts[ROLES], enum role role)
{
    return role == WATCHER && !texts[WATCHER].n ? texts[READER] : texts[role];
}

static int is_reader(enum role role)
{
    return role == READER || role == WATCHER;
}

static void say(const struct conn *c, struct text text, unsigned number)
{
    char said[TEXT_BYTES];
    write_all(c->fd, said, render(said, text, number));
}

/* A connection on which nothing was said yet. */
static struct conn begun(const struct proto *p, int fd)
{
    return (struct conn){.fd = fd, .due = p->preamble_bytes, .framed = !p->preamble_bytes};
}

/* A new connection to where the server listens for this role. */
static struct conn dial(const struct proto *p, const struct address *to, enum role role)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    struct address at = *to;
    if (p->reader_path && is_reader(role)) {
        snprintf(path, sizeof path, "%s%s", to->path, p->reader_path);
        at.path = path;
    }
    return begun(p, connect_to(&at));
}

static struct conn open_conn(const struct proto *p, const struct address *to, enum role role)
{
    struct conn c = dial(p, to, role);
    unsigned pid = next_pid();
    say(&c, by_role(p->hello, role), pid);
    await(p, &c, by_role(p->ready, role));
    if (p->subscribe.n && is_reader(role)) {
        say(&c, p->subscribe, pid);
        await(p, &c, p->subscribed);
    }
    return c;
}

/* After this, nothing that happened before is still to come on these connections. */
static void fence(const struct proto *p, struct conn *conns, int n)
{
    for (int i = 0; p->fence.n && i < n; i++) {
        write_all(conns[i].fd, p->fence.at, p->fence.n);
        await(p, &conns[i], p->fenced);
    }
}

/* `window` commands made of one text, twice over, so that any run of up to `window` of them is one piece of memory. */
struct ring {
    char *bytes;
    size_t command_bytes;
    unsigned window;
};

static struct ring make_ring(struct text text, unsigned window)
{
    struct ring r = {.window = window, .command_bytes = text.n, .bytes = malloc(2 * window * text.n)};
    for (unsigned i = 0; i < 2 * window; i++)
        render(r.bytes + i * text.n, text, FIRST_NONCE + i % window);
    return r;
}

static void send_commands(const struct ring *r, struct conn *c, unsigned n)
{
    write_all(c->fd, r->bytes + c->sent % r->window * r->command_bytes, n * r->command_bytes);
    c->sent += n;
}

static unsigned last_nonce(const struct ring *r, const struct conn *c)
{
    return FIRST_NONCE + (unsigned)((c->sent - 1) % r->window);
}

#endif
