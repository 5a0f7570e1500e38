/* A process that crosses a limit of its resident memory when it is told to, and says when SIGUSR1 reached it.
 *
 * Usage: victim LIMIT_MIB NAME. Commands on its input, each answered by one line:
 *   hold MIB        have so much, at once
 *   grow MIB RATE   grow to so much at RATE MiB/s (0: as fast as it can) until the signal comes; wait for it some
 *                   seconds if need be; say "crossed signalled bytes", in ns of CLOCK_MONOTONIC and bytes held at the
 *                   signal, 0 if it never came; then let go of everything
 * Sizes are all that is resident, its own code too.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MIB (1L << 20)
#define SECOND 1000000000L
enum { ROOM_MIB = 8192, PAGE = 4096, PATIENCE_SECONDS = 12 };

static char *room;
static long base;                    /* bytes resident besides what it grows */
static volatile long held;           /* bytes resident, all in all */
static volatile long signalled_at, held_at_signal;

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void on_signal(int signal)
{
    (void)signal;
    if (!signalled_at) {
        signalled_at = now();
        held_at_signal = held;
    }
}

static void doze(long ns)
{
    nanosleep(&(struct timespec){ns / SECOND, ns % SECOND}, NULL);
}

static void let_go(void)
{
    madvise(room, ROOM_MIB * MIB, MADV_DONTNEED);
    held = base;
}

static void touch_until(long bytes)
{
    for (; held < bytes && !signalled_at; held += PAGE)
        room[held - base] = 1;
}

static long resident(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%*d %ld", &pages) != 1)
        exit(71);
    fclose(statm);
    return pages * PAGE;
}

/* Grow at a pace; the moment at which the limit was crossed, 0 if the signal came before. */
static long grow(long target, long rate, long limit)
{
    long began = now(), first = held, crossed = 0;

    while (held < target && !signalled_at) {
        long allowed = rate ? first + (now() - began) / 1000 * rate * MIB / 1000000 : target;
        if (allowed > target)
            allowed = target;
        if (!crossed && allowed > limit) { /* up to the limit, then note the time, then on */
            touch_until(limit);
            crossed = now();
        }
        touch_until(allowed);
        if (held >= allowed && rate)
            doze(200000);
    }
    return crossed;
}

static void run(long target, long rate, long limit)
{
    signalled_at = held_at_signal = 0;
    long crossed = grow(target, rate, limit), deadline = now() + PATIENCE_SECONDS * SECOND;
    while (!signalled_at && now() < deadline)
        doze(1000000);
    let_go();
    printf("%ld %ld %ld\n", crossed, signalled_at, held_at_signal);
}

int main(int argc, char **argv)
{
    char line[200];
    long mib, rate;

    if (argc < 3)
        return 64;
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* 2 MiB at once would blur what was crossed when */
    room = mmap(NULL, ROOM_MIB * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return 71;
    signal(SIGUSR1, on_signal);
    setvbuf(stdout, NULL, _IOLBF, 0);
    base = resident();
    held = base;
    puts("ready");
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "grow %ld %ld", &mib, &rate) == 2)
            run(mib * MIB, rate, atol(argv[1]) * MIB);
        else if (sscanf(line, "hold %ld", &mib) == 1) {
            signalled_at = 0;
            touch_until(mib * MIB);
            puts("held");
        }
    }
    return 0;
}
