// A 32-bit program, whose clock cannot be changed. It ends at once; needs no library.
void _start(void) {
    __asm__ volatile("int $0x80" : : "a"(1), "b"(0));
}
