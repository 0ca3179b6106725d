/* What main.c wants of a board. */

#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

int board_print(const char *text, ...); /* as printf */
void board_start_timer(void);
uint32_t board_ticks(void);      /* since the timer was started */
uint32_t board_stack_used(void); /* the most so far, in bytes */

#endif
