/* Any Arm Cortex-M under QEMU: start-up, a timer, and printing through the debugger (semihosting).
   On hardware, replace _write and _exit, or start from your vendor's files. */

#include "board.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define SYSTICK_CONTROL REGISTER(0xe000e010)
#define SYSTICK_RELOAD REGISTER(0xe000e014)
#define SYSTICK_VALUE REGISTER(0xe000e018)
#define CONFIGURATION REGISTER(0xe000ed14)
#define UNALIGNED_IS_FAULT (1u << 3)
#define COPROCESSORS REGISTER(0xe000ed88)

extern uint32_t data_load[], data_begin[], data_end[], bss_begin[], bss_end[], heap_begin[],
    stack_bottom[], stack_top[];
int main(void);

static volatile uint32_t wraps; /* of the timer, which has 24 bits */

/* ---- printing and the end of the program, by the debugger ---- */

static int semihosting(int what, const void *argument) {
    register int r0 __asm__("r0") = what;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int _write(int file, const char *text, int size) {
    int i;
    (void)file;
    for (i = 0; i < size; i++) semihosting(0x03, text + i);
    return size;
}

void _exit(int code) {
    const uint32_t block[2] = {0x20026, (uint32_t)code}; /* the application has ended */
    semihosting(0x20, block);
    for (;;) {
    }
}

/* An address that is not aligned is a fault, except here: printf of newlib uses some. */
int board_print(const char *text, ...) {
    va_list arguments;
    int size;
    CONFIGURATION &= ~UNALIGNED_IS_FAULT;
    va_start(arguments, text);
    size = vprintf(text, arguments);
    va_end(arguments);
    CONFIGURATION |= UNALIGNED_IS_FAULT;
    return size;
}

/* ---- what else the C library wants ---- */

void *_sbrk(int more) { /* printf's buffer; a policy allocates nothing */
    static char *next = (char *)heap_begin;
    char *here = next;
    if (next + more > (char *)stack_bottom) return (void *)-1;
    next += more;
    return here;
}

int _fstat(int file, struct stat *status) {
    (void)file;
    status->st_mode = S_IFCHR;
    return 0;
}

int _close(int file) { return -file; }
int _isatty(int file) { return file >= 0; }
int _lseek(int file, int offset, int whence) { return 0 * (file + offset + whence); }
int _read(int file, char *text, int size) { return 0 * (file + size + *text); }
int _getpid(void) { return 1; }
int _kill(int process, int signal) { return 0 * (process + signal); }

/* ---- the timer ---- */

static void timer_wrapped(void) { wraps++; }

void board_start_timer(void) {
    SYSTICK_RELOAD = 0xffffff;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 7; /* on, with an interrupt at each wrap, at the processor's clock */
    while (!SYSTICK_VALUE) {
    }
}

uint32_t board_ticks(void) {
    uint32_t before, value;
    do {
        before = wraps;
        value = SYSTICK_VALUE;
    } while (before != wraps);
    return (before << 24) + (0xffffff - value);
}

/* ---- start-up ---- */

#define PAINT 0x5afe5afeu

uint32_t board_stack_used(void) {
    const uint32_t *at = stack_bottom;
    while (at < stack_top && *at == PAINT) at++;
    return (uint32_t)((const char *)stack_top - (const char *)at);
}

__attribute__((noreturn)) void board_reset(void);
__attribute__((noreturn)) void board_reset(void) {
    uint32_t *to, *here;
    const uint32_t *from;
    COPROCESSORS |= 0xfu << 20; /* floating-point numbers */
    CONFIGURATION |= UNALIGNED_IS_FAULT;
    __asm__ volatile("dsb\n isb");
    for (to = data_begin, from = data_load; to < data_end;) *to++ = *from++;
    for (to = bss_begin; to < bss_end;) *to++ = 0;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (to = stack_bottom; to < here;) *to++ = PAINT;
    exit(main());
}

static void board_fault(void) {
    board_print("a fault of the processor\n");
    _exit(3);
}

__attribute__((section(".vectors"), used)) static const uintptr_t vectors[16] = {
    (uintptr_t)stack_top,     (uintptr_t)board_reset,   (uintptr_t)board_fault,
    (uintptr_t)board_fault,   (uintptr_t)board_fault,   (uintptr_t)board_fault,
    (uintptr_t)board_fault,   [15] = (uintptr_t)timer_wrapped,
};
