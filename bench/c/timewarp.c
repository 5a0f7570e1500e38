/* Lets a daemon live through a day in seconds: preloaded, it makes waiting for signals take no time, and moves the
 * clock by what was waited for. At each of the moments in TIMEWARP (seconds since the start, such as "10000 86400") it
 * stops the process, so that whoever watches can measure it then; after the last one time passes as always.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define SECOND 1000000000LL

static long long skipped; /* ns */
static const char *moments;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_sigtimedwait)(const sigset_t *, siginfo_t *, const struct timespec *);

/* Others may ask for the time before our constructor has run. */
__attribute__((constructor)) static void find(void)
{
    real_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_sigtimedwait =
        (int (*)(const sigset_t *, siginfo_t *, const struct timespec *))dlsym(RTLD_NEXT, "sigtimedwait");
    moments = getenv("TIMEWARP");
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!real_clock_gettime)
        find();
    int status = real_clock_gettime(clock, time);
    if (status == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME)) {
        long long all = time->tv_nsec + skipped;
        time->tv_sec += all / SECOND;
        time->tv_nsec = all % SECOND;
    }
    return status;
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    char *rest;
    if (!real_sigtimedwait)
        find();
    int got = real_sigtimedwait(set, info, &(struct timespec){0, 0});

    if (got >= 0 || errno != EAGAIN)
        return got;
    double moment = moments ? strtod(moments, &rest) : 0;
    if (moment <= 0)
        return real_sigtimedwait(set, info, timeout);
    skipped += timeout->tv_sec * SECOND + timeout->tv_nsec;
    if ((double)skipped / SECOND >= moment) {
        moments = rest;
        raise(SIGSTOP);
    }
    errno = EAGAIN;
    return -1;
}
