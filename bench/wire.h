/* Sockets, clocks and the words of each protocol that the load generator speaks.
 *
 * Rules: every socket is blocking and is read once per readiness, so no read ever waits; bursts are kept far below
 * a socket's buffer by their window, so no write ever waits for long. A fault of any kind ends the program with a
 * line on standard error: a figure is either right or absent.
 */
#ifndef WIRE_H
#define WIRE_H

#define _GNU_SOURCE
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
#define TAIL_BYTES 192 /* longer than any line whose content is checked */
#define LINE_BYTES 512
#define FIRST_NONCE 1000u /* four digits, always: every line of a ring has the same length */

enum role { CALLER, READER, WRITER, IDLER };

/* One protocol's words. A text with %u takes a number: for `hello` the connection's made-up pid, else a nonce. */
struct proto {
    const char *name;
    const char *hello[4]; /* by role: what a new connection sends */
    const char *ready[4]; /* by role: the text whose arrival ends the greeting */
    const char *fence, *fenced; /* asks for, and shows, that nothing older is still to come; NULL: not needed */
    const char *ping, *pong;
    const char *change, *changed; /* a command that changes state, and its answer; NULL: none */
    int change_lines;
    const char *publish, *delivery;
    int delivery_lines; /* newlines in one delivery */
    const char *bye;    /* the word of leaving; the server then closes. NULL: the client closes */
    const char *gone;   /* what a reader is told when another client died; NULL: nothing */
    const char *probe, *probe_answer; /* asked by the server at any time, and answered */
};

#define QD(more) "{\"cmd\":\"register\",\"kind\":\"tool\",\"pid\":%u,\"version\":\"bench\"" more "}\n"
#define QD_QUIET QD(",\"subscribe\":{\"events\":[\"none*\"]}")
#define NATS_HELLO "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"

static const struct proto PROTOS[] = {
    {.name = "qd",
     .hello = {QD(""), QD(""), QD_QUIET, QD_QUIET},
     .ready = {"\"event\":\"registered\"", "\"event\":\"registered\"", "\"event\":\"subscribed\"", "\"event\":\"subscribed\""},
     .fence = "{\"cmd\":\"ping\",\"nonce\":7}\n", .fenced = "\"event\":\"pong\"",
     .ping = "{\"cmd\":\"ping\",\"nonce\":%u}\n", .pong = "\"nonce\":%u",
     .change = "{\"cmd\":\"publish\",\"topic\":\"t\",\"payload\":%u,\"id\":1}\n", .changed = "\"event\":\"ack\"",
     .change_lines = 2,
     .publish = "{\"cmd\":\"publish\",\"topic\":\"t\",\"payload\":%u}\n", .delivery = "\"payload\":%u", .delivery_lines = 1,
     .bye = "{\"cmd\":\"goodbye\"}\n", .gone = "\"event\":\"process_exited\""},
    {.name = "echo", /* the C limit speaks it too, and alone knows the words of readers and writers */
     .hello = {"hello\n", "sub\n", "pub\n", "hello\n"},
     .ready = {"hello\n", "sub\n", "pub\n", "hello\n"},
     .ping = "{\"cmd\":\"ping\",\"nonce\":%u}\n", .pong = "\"nonce\":%u",
     .publish = "{\"event\":\"published\",\"topic\":\"t\",\"payload\":%u,\"client_id\":1,\"version\":1234567}\n",
     .delivery = "\"payload\":%u", .delivery_lines = 1, .gone = "gone\n"},
    {.name = "redis",
     .hello = {"PING\r\n", "SUBSCRIBE t\r\n", "PING\r\n", "PING\r\n"},
     .ready = {"+PONG\r\n", "\r\n:1\r\n", "+PONG\r\n", "+PONG\r\n"},
     .ping = "*1\r\n$4\r\nPING\r\n", .pong = "+PONG",
     .publish = "*3\r\n$7\r\nPUBLISH\r\n$1\r\nt\r\n$4\r\n%u\r\n", .delivery = "\r\n%u\r\n", .delivery_lines = 7,
     .bye = "QUIT\r\n"},
    {.name = "nats",
     .hello = {NATS_HELLO "PING\r\n", NATS_HELLO "SUB t 1\r\nPING\r\n", NATS_HELLO "PING\r\n", NATS_HELLO "PING\r\n"},
     .ready = {"PONG\r\n", "PONG\r\n", "PONG\r\n", "PONG\r\n"},
     .ping = "PING\r\n", .pong = "PONG",
     .publish = "PUB t 4\r\n%u\r\n", .delivery = "\r\n%u\r\n", .delivery_lines = 2,
     .probe = "PING\r\n", .probe_answer = "PONG\r\n"},
};

struct conn {
    int fd;
    unsigned long lines;   /* newlines received since the greeting */
    unsigned long sent;    /* commands sent since the greeting */
    size_t tail_len;
    char tail[TAIL_BYTES]; /* the last bytes received, to check what came last */
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

/* Read once, count the lines, answer a server's own probe (which is not counted). Ends the program at end of file. */
static unsigned long receive(const struct proto *p, struct conn *c, char *buf)
{
    ssize_t n = read(c->fd, buf, READ_BYTES);
    if (n <= 0)
        die("%s: the server closed a connection after: %.*s", p->name, (int)c->tail_len, c->tail);
    unsigned long lines = count_lines(buf, (size_t)n);
    if (p->probe && memmem(buf, (size_t)n, p->probe, strlen(p->probe))) {
        write_all(c->fd, p->probe_answer, strlen(p->probe_answer));
        lines--;
    }
    keep_tail(c, buf, (size_t)n);
    c->lines += lines;
    return lines;
}

/* Read until `text` has come and the last line is whole. Text may span reads as far as the tail reaches. */
static void await(struct conn *c, const char *text)
{
    char buf[65536];
    int found = 0;
    do {
        size_t carry = c->tail_len < 64 ? c->tail_len : 64;
        memcpy(buf, c->tail + c->tail_len - carry, carry);
        ssize_t n = read(c->fd, buf + carry, sizeof buf - carry);
        if (n <= 0)
            die("no %s, but end of file after: %.*s", text, (int)c->tail_len, c->tail);
        found = found || memmem(buf, carry + (size_t)n, text, strlen(text)) != NULL;
        keep_tail(c, buf + carry, (size_t)n);
    } while (!found || c->tail[c->tail_len - 1] != '\n');
    c->tail_len = 0;
}

/* Does the last that came hold `format` with this nonce? */
static int tail_has(const struct conn *c, const char *format, unsigned nonce)
{
    char mark[64];
    int n = snprintf(mark, sizeof mark, format, nonce);
    return memmem(c->tail, c->tail_len, mark, (size_t)n) != NULL;
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
/* A pid that no process has and no other connection of this machine claimed: above every pid_max. */
static unsigned next_pid(void)
{
    static unsigned counter;
    return 10000000u + (unsigned)(getpid() % 4000) * 1000000u + counter++ % 1000000u;
}

static void greet(const struct proto *p, enum role role, const struct conn *c, unsigned pid)
{
    char line[LINE_BYTES];
    int n = snprintf(line, sizeof line, p->hello[role], pid);
    write_all(c->fd, line, (size_t)n);
}

static struct conn open_conn(const struct proto *p, const struct address *to, enum role role)
{
    struct conn c = {.fd = connect_to(to)};
    greet(p, role, &c, next_pid());
    await(&c, p->ready[role]);
    return c;
}

/* After this, nothing that happened before is still to come on these connections. */
static void fence(const struct proto *p, struct conn *conns, int n)
{
    for (int i = 0; p->fence && i < n; i++) {
        write_all(conns[i].fd, p->fence, strlen(p->fence));
        await(&conns[i], p->fenced);
    }
}

/* `window` lines made of one format, twice over, so that any run of up to `window` of them is one piece of memory. */
struct ring {
    char *bytes;
    size_t line_bytes;
    unsigned window;
};

static struct ring make_ring(const char *format, unsigned window)
{
    struct ring r = {.window = window, .line_bytes = (size_t)snprintf(NULL, 0, format, FIRST_NONCE)};
    r.bytes = malloc(2 * window * r.line_bytes + 1);
    for (unsigned i = 0; i < 2 * window; i++)
        snprintf(r.bytes + i * r.line_bytes, r.line_bytes + 1, format, FIRST_NONCE + i % window);
    return r;
}

static void send_lines(const struct ring *r, struct conn *c, unsigned n)
{
    write_all(c->fd, r->bytes + c->sent % r->window * r->line_bytes, n * r->line_bytes);
    c->sent += n;
}

static unsigned last_nonce(const struct ring *r, const struct conn *c)
{
    return FIRST_NONCE + (unsigned)((c->sent - 1) % r->window);
}

#endif
