// Asks for the time without pause in four threads and looks at every answer.
//
// The test lets the clock jump by multiples of 1,000 s while this runs. Every answer
// must be the host's time, as the monotonic clock tells it, plus such a multiple:
// anything else is neither an old nor a new value. Prints the number of answers and
// of those that were wrong when its input ends.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const int64_t STEP = 1000LL * 1000000000LL, TOLERANCE = 200000;
static atomic_int over;
static atomic_long answers, wrong;
static int64_t base;

static int64_t now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void *ask(void *unused) {
    while (!atomic_load(&over)) {
        int64_t before = now(CLOCK_MONOTONIC), shown = now(CLOCK_REALTIME) - base, after = now(CLOCK_MONOTONIC);
        int64_t least = shown - after - TOLERANCE, most = shown - before + TOLERANCE;
        int64_t steps = most / STEP - (most < 0);
        if (steps * STEP < least) atomic_fetch_add(&wrong, 1);
        atomic_fetch_add(&answers, 1);
    }
    return unused;
}

int main(void) {
    // The smallest of many brackets: how far real time is ahead of monotonic time.
    int64_t best = INT64_MAX;
    for (int round = 0; round < 1000; round++) {
        int64_t before = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME), after = now(CLOCK_MONOTONIC);
        if (after - before < best) best = after - before, base = real - (before + after) / 2;
    }
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, ask, 0);
    puts("ready");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {}
    atomic_store(&over, 1);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
    printf("%ld %ld\n", atomic_load(&answers), atomic_load(&wrong));
    return 0;
}
