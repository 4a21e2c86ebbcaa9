// Answers every line of input with the time of day, in four ways: clock_gettime
// (real time, coarse real time, monotonic) and gettimeofday in nanoseconds, time in
// seconds.
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

static long long now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void) {
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        struct timeval day;
        long long real = now(CLOCK_REALTIME), coarse = now(CLOCK_REALTIME_COARSE), even = now(CLOCK_MONOTONIC);
        gettimeofday(&day, 0);
        printf("%lld %lld %lld %lld %lld\n", real, coarse, even, day.tv_sec * 1000000000LL + day.tv_usec * 1000LL,
               (long long)time(0));
        fflush(stdout);
    }
    return 0;
}
