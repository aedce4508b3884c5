/* What a workload is given and prints, and the workloads that are about whole processes: W5, W6, W8 and `wall`.
 *
 * Rule: every process started here dies with the generator (a parent-death signal), so that none outlives a failed run.
 */
#ifndef PROCESSES_H
#define PROCESSES_H

#include "wire.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct options {
    const struct proto *proto;
    struct address to;
    double seconds;
    int count, clients, readers, idle, server_pid, cpu;
    unsigned window;
    int change, quiet;
    char **command;
};

static char scratch[READ_BYTES];

static void result(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void result(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The server's own processor time so far, of all its threads, in seconds (/proc/PID/task/TID/schedstat); 0 without a pid. */
static double served_s(const struct options *o)
{
    char path[300];
    unsigned long long total = 0, ns;
    snprintf(path, sizeof path, "/proc/%d/task", o->server_pid);
    DIR *tasks = o->server_pid ? opendir(path) : NULL;
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        if (task->d_name[0] == '.')
            continue; /* `..` has a schedstat, too: the first thread's, once more */
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", o->server_pid, task->d_name);
        FILE *f = fopen(path, "r");
        if (f && fscanf(f, "%llu", &ns) == 1)
            total += ns;
        if (f)
            fclose(f);
    }
    if (tasks)
        closedir(tasks);
    return (double)total / 1e9;
}

/* Sorts, and prints p50 and p99 of times in seconds as `unit`s. `served` is the server's time for all of them. */
static void result_times(const char *name, double *times, int n, double per_second, const char *unit, double cpu, double served)
{
    if (n == 0)
        die("%s: nothing was measured", name);
    qsort(times, (size_t)n, sizeof *times, by_value);
    result("{\"workload\":\"%s\",\"count\":%d,\"p50_%s\":%.3f,\"p99_%s\":%.3f,\"cpu\":%.3f,\"served_us\":%.3f}", name, n, unit,
           times[n / 2] * per_second, unit, times[(int)((double)n * 0.99)] * per_second, cpu, served / n * 1e6);
}

static struct conn *open_conns(const struct options *o, enum role role, int n)
{
    struct conn *conns = calloc((size_t)n + 1, sizeof *conns);
    for (int i = 0; i < n; i++)
        conns[i] = open_conn(o->proto, &o->to, role);
    return conns;
}

/* --- W5: SIGKILL of a registered client, to another client's notice --- */

/* A child that registers with its own pid, says so on the pipe, and waits for its end. */
static pid_t start_victim(const struct options *o)
{
    int pipe_fds[2];
    char byte;
    if (pipe(pipe_fds) < 0)
        die("pipe");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct conn c = dial(o->proto, &o->to, CALLER);
        say(&c, o->proto->hello[CALLER], (unsigned)getpid());
        await(o->proto, &c, o->proto->ready[CALLER]);
        write_all(pipe_fds[1], "!", 1);
        for (;;)
            pause();
    }
    close(pipe_fds[1]);
    if (pid < 0 || read(pipe_fds[0], &byte, 1) != 1)
        die("w5: the victim did not register");
    close(pipe_fds[0]);
    return pid;
}

static int run_w5(const struct options *o)
{
    const struct proto *p = o->proto;
    if (!p->gone.n)
        die("%s tells nobody of a client's end", p->name);
    struct conn c = open_conn(p, &o->to, WATCHER);
    double *times = malloc((size_t)o->count * sizeof *times), cpu = cpu_s(), start = now_s();
    for (int i = 0; i < o->count; i++) {
        pid_t victim = start_victim(o);
        fence(p, &c, 1);
        double before = now_s();
        kill(victim, SIGKILL);
        await(p, &c, p->gone);
        times[i] = now_s() - before;
        waitpid(victim, NULL, 0);
    }
    result_times("w5", times, o->count, 1e3, "ms", (cpu_s() - cpu) / (now_s() - start), 0);
    return 0;
}

/* --- W6: the server's memory per idle connection --- */

static long rss_kb(int pid)
{
    char path[64], line[256];
    long kb = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        die("%s", path);
    while (kb < 0 && fgets(line, sizeof line, f))
        sscanf(line, "Rss: %ld", &kb);
    fclose(f);
    return kb;
}

static int run_w6(const struct options *o)
{
    open_conns(o, IDLER, 1);
    long before = rss_kb(o->server_pid);
    struct conn *conns = open_conns(o, IDLER, o->clients);
    fence(o->proto, conns, o->clients);
    long after = rss_kb(o->server_pid);
    result("{\"workload\":\"w6\",\"clients\":%d,\"before_kb\":%ld,\"after_kb\":%ld,\"kb_each\":%.3f,\"cpu\":0}", o->clients,
           before, after, (double)(after - before) / o->clients);
    return 0;
}

/* --- W8: start-up --- */

static pid_t start_command(char **command)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        execvp(command[0], command);
        _exit(127);
    }
    if (pid < 0)
        die("fork");
    return pid;
}

/* Connect, as soon as that succeeds, to what `pid` listens at. */
static int connect_patiently(const struct options *o, pid_t pid)
{
    int fd, status;
    while ((fd = try_connect(&o->to)) < 0) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            die("w8: %s ended with status %d before it listened", o->command[0], status);
        usleep(200);
    }
    return fd;
}

static int run_w8(const struct options *o)
{
    const struct proto *p = o->proto;
    struct ring ring = make_ring(p->ping, 1);
    double *times = malloc((size_t)o->count * sizeof *times), cpu = cpu_s(), start = now_s();
    for (int i = 0; i < o->count; i++) {
        double before = now_s();
        pid_t pid = start_command(o->command);
        struct conn c = begun(p, connect_patiently(o, pid));
        say(&c, p->hello[CALLER], next_pid());
        await(p, &c, p->ready[CALLER]);
        send_commands(&ring, &c, 1);
        while (!c.units)
            receive(p, &c, scratch);
        times[i] = now_s() - before;
        close(c.fd);
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
        if (o->to.path)
            unlink(o->to.path);
    }
    result_times("w8", times, o->count, 1e3, "ms", (cpu_s() - cpu) / (now_s() - start), 0);
    return 0;
}

static int run_wall(const struct options *o)
{
    double *times = malloc((size_t)o->count * sizeof *times), cpu = cpu_s(), start = now_s();
    int status = 0;
    for (int i = 0; i < o->count; i++) {
        double before = now_s();
        waitpid(start_command(o->command), &status, 0);
        times[i] = now_s() - before;
        if (status)
            die("wall: %s ended with status %d", o->command[0], status);
    }
    result_times("wall", times, o->count, 1e3, "ms", (cpu_s() - cpu) / (now_s() - start), 0);
    return 0;
}

#endif
