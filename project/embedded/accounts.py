"""Which user of the operating system the servers run as, and with what rights."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from project.embedded.places import EmbeddedServerError

# Bits of the kernel's capability sets.
_DAC_OVERRIDE = 1 << 1
_DAC_READ_SEARCH = 1 << 2


@dataclass(frozen=True, slots=True)
class Account:
    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        return self.uid == os.getuid()

    def take(self, folder: Path) -> None:
        """Make `folder` exist, private to this account.

        :raises EmbeddedServerError: it is someone else's.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid not in {os.getuid(), self.uid}:
            raise EmbeddedServerError(f"The folder {folder} belongs to somebody else.")
        folder.chmod(0o700)
        if not self.is_ours:
            os.chown(folder, self.uid, self.gid)

    def privileges(self, *, program: Path, folder: Path) -> tuple[str, ...]:
        """Return the options of `setpriv` to run `program` on `folder` as this account.

        Where only root may enter a parent folder, as below /root, the account gets
        the one capability that lets it pass, and nothing else.
        """
        if self.is_ours:
            return ()
        change = (
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            "--no-new-privs",
        )
        needed = _capability_for(program, folder)
        if needed is None:
            return change
        return (
            *change,
            f"--inh-caps=-all,+{needed}",
            f"--ambient-caps=-all,+{needed}",
            # Without it access(2) ignores the capability, and PostgreSQL asks it.
            "--securebits=+no_setuid_fixup",
        )


def servers_account() -> Account:
    """PostgreSQL refuses to run as root, so root runs the servers as `nobody`."""
    if os.getuid() != 0:
        return Account(uid=os.getuid(), gid=os.getgid())
    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def _capability_for(program: Path, folder: Path) -> str | None:
    may_execute = bool(program.stat().st_mode & 0o001)
    if may_execute and _parents_are_open(program) and _parents_are_open(folder):
        return None
    held = _permitted_capabilities()
    if may_execute and held & _DAC_READ_SEARCH:
        return "dac_read_search"
    if held & _DAC_OVERRIDE:
        return "dac_override"
    raise EmbeddedServerError(
        f"PostgreSQL cannot run as root, and the user nobody may not enter {folder} "
        f"or run {program}. Start this as an ordinary user instead."
    )


def _parents_are_open(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _permitted_capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("CapPrm:")[2].split()[0], 16)
