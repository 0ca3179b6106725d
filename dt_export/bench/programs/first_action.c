/* The first action of a native program. It prints {"end_ns": ..., "peak": ...} as fresh.py does. */

#define _POSIX_C_SOURCE 199309L

#include "HEADER"

#include <stdio.h>
#include <string.h>
#include <time.h>

static prefix_policy policy;

int main(void) {
    static float observation[PREFIX_STATE_SIZE];
    static ACTION action[PREFIX_ACTION_SIZE];
    struct timespec end;
    char line[256];
    long long peak = -1;
    int fault = prefix_reset(&policy, 1000.0);
    FILE *status;
    if (!fault) fault = prefix_act(&policy, observation, 0.0, action);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (fault) {
        fprintf(stderr, "%s\n", prefix_fault_name(fault));
        return 1;
    }
    status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0) sscanf(line + 6, "%lld", &peak);
    if (status) fclose(status);
    printf("{\"end_ns\": %lld, \"peak\": ", (long long)end.tv_sec * 1000000000LL + end.tv_nsec);
    if (peak < 0) puts("null}");
    else printf("%lld}\n", peak * 1024);
    return 0;
}
