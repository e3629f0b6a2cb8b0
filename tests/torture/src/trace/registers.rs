//! What a system call is in the registers of a processor: its number, its arguments, its result.

use nix::Result;
use nix::errno::Errno;
use nix::unistd::Pid;

pub(super) use machine::{ARE_KNOWN, Registers};

/// x86_64.
#[cfg(target_arch = "x86_64")]
mod machine {
    use nix::libc::user_regs_struct;
    use nix::sys::ptrace;

    use super::{Errno, Pid, Result, negative};

    /// Whether this machine's registers can be read.
    pub(in crate::trace) const ARE_KNOWN: bool = true;

    /// The registers of a thread at the entry of a call.
    #[derive(Debug, Clone, Copy)]
    pub(in crate::trace) struct Registers(user_regs_struct);

    impl Registers {
        pub(in crate::trace) fn of(thread: Pid) -> Result<Self> {
            ptrace::getregs(thread).map(Self)
        }

        pub(in crate::trace) fn number(&self) -> u64 {
            self.0.orig_rax
        }

        pub(in crate::trace) fn arguments(&self) -> [u64; 6] {
            [self.0.rdi, self.0.rsi, self.0.rdx, self.0.r10, self.0.r8, self.0.r9]
        }

        /// Of the same registers after the call.
        pub(in crate::trace) fn result(&self) -> i64 {
            self.0.rax.cast_signed()
        }

        /// At the entry: the call does not happen.
        pub(in crate::trace) fn skip(&self, thread: Pid) -> Result<()> {
            ptrace::setregs(thread, user_regs_struct { orig_rax: u64::MAX, ..self.0 })
        }

        /// At the exit of a call that was skipped, whose registers at the entry these are.
        pub(in crate::trace) fn fail(&self, thread: Pid, errno: Errno) -> Result<()> {
            let now = ptrace::getregs(thread)?;
            ptrace::setregs(thread, user_regs_struct { rax: negative(errno), ..now })
        }
    }
}

/// aarch64, where the number of a call cannot be changed by what nix offers: all arguments become nonsense, a call
/// fails by itself then, and is given its arguments back with another error.
#[cfg(target_arch = "aarch64")]
mod machine {
    use nix::libc::user_regs_struct;
    use nix::sys::ptrace;

    use super::{Errno, Pid, Result, negative};

    /// Whether this machine's registers can be read.
    pub(in crate::trace) const ARE_KNOWN: bool = true;

    /// The registers of a thread at the entry of a call.
    #[derive(Debug, Clone, Copy)]
    pub(in crate::trace) struct Registers(user_regs_struct);

    impl Registers {
        pub(in crate::trace) fn of(thread: Pid) -> Result<Self> {
            ptrace::getregs(thread).map(Self)
        }

        pub(in crate::trace) fn number(&self) -> u64 {
            self.0.regs[8]
        }

        pub(in crate::trace) fn arguments(&self) -> [u64; 6] {
            std::array::from_fn(|at| self.0.regs[at])
        }

        /// Of the same registers after the call.
        pub(in crate::trace) fn result(&self) -> i64 {
            self.0.regs[0].cast_signed()
        }

        /// At the entry: the call does not happen.
        pub(in crate::trace) fn skip(&self, thread: Pid) -> Result<()> {
            let mut registers = self.0;
            registers.regs[..6].fill(u64::MAX);
            ptrace::setregs(thread, registers)
        }

        /// At the exit of a call that was skipped, whose registers at the entry these are.
        pub(in crate::trace) fn fail(&self, thread: Pid, errno: Errno) -> Result<()> {
            let mut now = ptrace::getregs(thread)?;
            now.regs[..6].copy_from_slice(&self.0.regs[..6]);
            now.regs[0] = negative(errno);
            ptrace::setregs(thread, now)
        }
    }
}

/// A machine whose registers nobody has looked up.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod machine {
    use super::{Errno, Pid, Result};

    /// Whether this machine's registers can be read.
    pub(in crate::trace) const ARE_KNOWN: bool = false;

    /// The registers of a thread at the entry of a call.
    #[derive(Debug, Clone, Copy)]
    pub(in crate::trace) struct Registers;

    impl Registers {
        pub(in crate::trace) fn of(_: Pid) -> Result<Self> {
            Err(Errno::ENOSYS)
        }

        pub(in crate::trace) fn number(&self) -> u64 {
            0
        }

        pub(in crate::trace) fn arguments(&self) -> [u64; 6] {
            [0; 6]
        }

        pub(in crate::trace) fn result(&self) -> i64 {
            0
        }

        pub(in crate::trace) fn skip(&self, _: Pid) -> Result<()> {
            Err(Errno::ENOSYS)
        }

        pub(in crate::trace) fn fail(&self, _: Pid, _: Errno) -> Result<()> {
            Err(Errno::ENOSYS)
        }
    }
}

/// An error as the kernel returns it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn negative(errno: Errno) -> u64 {
    (-i64::from(errno as i32)).cast_unsigned()
}
