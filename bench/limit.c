/* What the kernel alone costs: an echo and fan-out server in C that parses nothing. It is the "C limit" of the figures.
 *
 *   limit PATH
 *
 * Rules: the first bytes of a connection say what it is. "sub": a reader, gets all that writers send. "pub": a writer,
 * whose bytes go to every reader as they come, one write per read. Anything else: a caller, whose bytes are echoed;
 * when it leaves, readers are told "gone". One thread, epoll, no memory per connection but one byte.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FDS_MAX 16384

static char modes[FDS_MAX]; /* by descriptor: 0 new, else s, p or c */
static int readers[FDS_MAX], reader_count;
static char bytes[65536];

static void send_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0) {
            struct pollfd full = {.fd = fd, .events = POLLOUT};
            if (poll(&full, 1, 100) <= 0 || full.revents & (POLLERR | POLLHUP))
                return;
            continue;
        }
        p += k;
        n -= (size_t)k;
    }
}

static void tell_readers(const char *p, size_t n)
{
    for (int i = 0; i < reader_count; i++)
        send_all(readers[i], p, n);
}

static void leave(int fd)
{
    for (int i = 0; i < reader_count; i++)
        if (readers[i] == fd)
            readers[i--] = readers[--reader_count];
    if (modes[fd] == 'c')
        tell_readers("gone\n", 5);
    close(fd);
}

static void greet(int fd, size_t n)
{
    modes[fd] = n >= 4 && !memcmp(bytes, "sub\n", 4) ? 's' : n >= 4 && !memcmp(bytes, "pub\n", 4) ? 'p' : 'c';
    if (modes[fd] == 's')
        readers[reader_count++] = fd;
    send_all(fd, bytes, n);
}

static void serve(int fd)
{
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n <= 0)
        leave(fd);
    else if (!modes[fd])
        greet(fd, (size_t)n);
    else if (modes[fd] == 'p')
        tell_readers(bytes, (size_t)n);
    else
        send_all(fd, bytes, (size_t)n);
}

static void watch(int epoll, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (fd >= FDS_MAX) {
            close(fd);
            continue;
        }
        modes[fd] = 0;
        watch(epoll, fd);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct rlimit files;
    struct epoll_event ready[512];
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", argc > 1 ? argv[1] : "");
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) {
        perror("limit: bind");
        return 1;
    }
    watch(epoll, listener);
    for (;;) {
        int k = epoll_wait(epoll, ready, 512, -1);
        for (int i = 0; i < k; i++)
            if (ready[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                serve(ready[i].data.fd);
    }
}
