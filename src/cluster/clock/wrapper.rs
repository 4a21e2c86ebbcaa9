//! Machine code that asks the vDSO for the time and applies a skew to the answer.
//!
//! It is copied into other processes and runs there, never here. It must fit into
//! what the vDSO's last page leaves free, touch no register that a C function must
//! keep, and read a skew that may change while it reads: two slots, of which a
//! generation byte says which holds, and which must be the same before and after.

use super::image::{Blob, Entry};

// Unsafe because the compiler cannot look into it; it is never run in this process.
// Written in the assembler's language because its bytes are what is wanted, at
// addresses that are not known here: everything is relative to the instruction.
#[allow(unsafe_code)]
mod code {
    use std::arch::global_asm;
    global_asm!(
        ".pushsection .rodata.rsm_check_vdso, \"a\"",
        ".p2align 6",
        ".globl rsm_check_vdso_begin",
        ".hidden rsm_check_vdso_begin",
        ".globl rsm_check_vdso_clock_gettime",
        ".hidden rsm_check_vdso_clock_gettime",
        ".globl rsm_check_vdso_gettimeofday",
        ".hidden rsm_check_vdso_gettimeofday",
        ".globl rsm_check_vdso_time",
        ".hidden rsm_check_vdso_time",
        ".globl rsm_check_vdso_data",
        ".hidden rsm_check_vdso_data",
        ".globl rsm_check_vdso_end",
        ".hidden rsm_check_vdso_end",
        "rsm_check_vdso_begin:",
        // int clock_gettime(clockid_t edi, struct timespec *rsi)
        "rsm_check_vdso_clock_gettime:",
        "endbr64",
        "test edi, edi", // CLOCK_REALTIME
        "je 2f",
        "cmp edi, 5", // CLOCK_REALTIME_COARSE
        "je 2f",
        "cmp edi, 11", // CLOCK_TAI
        "je 2f",
        "jmp qword ptr [rip + 20f]",
        "2:",
        "push rbx",
        "mov rbx, rsi",
        "call qword ptr [rip + 20f]",
        "test eax, eax",
        "jne 3f",
        "mov rax, qword ptr [rbx]",
        "imul rax, rax, 1000000000",
        "add rax, qword ptr [rbx + 8]",
        "call 6f",
        "mov qword ptr [rbx], rax",
        "mov qword ptr [rbx + 8], rdx",
        "xor eax, eax",
        "3:",
        "pop rbx",
        "ret",
        // int gettimeofday(struct timeval *rdi, struct timezone *rsi)
        ".p2align 4",
        "rsm_check_vdso_gettimeofday:",
        "endbr64",
        "push rbx",
        "mov rbx, rdi",
        "call qword ptr [rip + 21f]",
        "test eax, eax",
        "jne 4f",
        "test rbx, rbx",
        "je 4f",
        "mov rax, qword ptr [rbx]",
        "imul rax, rax, 1000000000",
        "imul rcx, qword ptr [rbx + 8], 1000",
        "add rax, rcx",
        "call 6f",
        "mov qword ptr [rbx], rax",
        "mov rax, rdx",
        "xor edx, edx",
        "mov ecx, 1000",
        "div rcx",
        "mov qword ptr [rbx + 8], rax",
        "xor eax, eax",
        "4:",
        "pop rbx",
        "ret",
        // time_t time(time_t *rdi): seconds of the coarse clock, as the kernel's own
        ".p2align 4",
        "rsm_check_vdso_time:",
        "endbr64",
        "push rbx",
        "mov rbx, rdi",
        "sub rsp, 16",
        "mov edi, 5",
        "mov rsi, rsp",
        "call qword ptr [rip + 20f]",
        "mov rax, qword ptr [rsp]",
        "imul rax, rax, 1000000000",
        "add rax, qword ptr [rsp + 8]",
        "call 6f",
        "test rbx, rbx",
        "je 5f",
        "mov qword ptr [rbx], rax",
        "5:",
        "add rsp, 16",
        "pop rbx",
        "ret",
        // rax: the host's nanoseconds -> rax, rdx: seconds and nanoseconds to show
        ".p2align 4",
        "6:",
        "lea r8, [rip + 23f]",
        "7:",
        "movzx ecx, byte ptr [rip + 22f]",
        "mov edx, ecx",
        "and edx, 1",
        "imul edx, edx, 24",
        "mov r9, qword ptr [r8 + rdx]",
        "mov r10, qword ptr [r8 + rdx + 8]",
        "mov r11, qword ptr [r8 + rdx + 16]",
        "movzx edx, byte ptr [rip + 22f]",
        "cmp ecx, edx",
        "jne 7b",
        "sub rax, r9",
        "imul r11",
        "shrd rax, rdx, 32",
        "add rax, r10",
        "jns 8f",
        "xor eax, eax",
        "8:",
        "mov ecx, 1000000000",
        "cqo",
        "idiv rcx",
        "ret",
        // The data: originals, generation, two slots.
        ".p2align 4",
        "rsm_check_vdso_data:",
        "20: .quad 0",
        "21: .quad 0",
        "22: .quad 0",
        "23: .quad 0, 0, 0, 0, 0, 0",
        "rsm_check_vdso_end:",
        ".popsection",
    );
}

#[allow(unsafe_code)]
mod labels {
    // SAFETY: the labels of the code above; only their addresses are used.
    unsafe extern "C" {
        #[link_name = "rsm_check_vdso_begin"]
        pub static BEGIN: u8;
        #[link_name = "rsm_check_vdso_clock_gettime"]
        pub static CLOCK_GETTIME: u8;
        #[link_name = "rsm_check_vdso_gettimeofday"]
        pub static GETTIMEOFDAY: u8;
        #[link_name = "rsm_check_vdso_time"]
        pub static TIME: u8;
        #[link_name = "rsm_check_vdso_data"]
        pub static DATA: u8;
        #[link_name = "rsm_check_vdso_end"]
        pub static END: u8;
    }
}

/// The code and where its parts begin.
#[allow(unsafe_code)]
pub(super) fn blob() -> Blob {
    let begin = &raw const labels::BEGIN;
    let offset = |label: *const u8| label as usize - begin as usize;
    let length = offset(&raw const labels::END);
    // SAFETY: begin and end enclose bytes of this program's read-only data, written by
    // the assembler code above as one piece.
    let code = unsafe { std::slice::from_raw_parts(begin, length) };
    Blob {
        code,
        data: offset(&raw const labels::DATA),
        entries: [
            Entry { name: "clock_gettime", offset: offset(&raw const labels::CLOCK_GETTIME) },
            Entry { name: "gettimeofday", offset: offset(&raw const labels::GETTIMEOFDAY) },
            Entry { name: "time", offset: offset(&raw const labels::TIME) },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_small_and_its_parts_lie_in_order() {
        let blob = blob();
        assert!(blob.code.len() < 512, "{} bytes", blob.code.len());
        assert_eq!(blob.code.len() - blob.data, 72);
        assert!(blob.entries.windows(2).all(|pair| pair[0].offset < pair[1].offset));
        // Every entry is a landing pad for machines that check indirect calls.
        for entry in blob.entries {
            assert_eq!(blob.code[entry.offset..entry.offset + 4], [0xf3, 0x0f, 0x1e, 0xfa], "{}", entry.name);
        }
    }
}
