"""Writes to every place that others read: temporary folders, home, libraries, the harness, the problem, the devices, /proc."""
# expect: ok|crash|limit
# score: 0.1
# bare: no
import contextlib
import os
import sys
import sysconfig

import arms

CODE = "raise SystemExit('owned')\n"


def solve(x, look):
    folders = [
        "/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", "/etc", "/home", "/root", "/usr/lib", "/opt", "/srv", "/mnt", "..", "../..",
        os.path.expanduser("~"), sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), *sys.path, os.path.dirname(os.__file__),
        *(os.path.realpath(f"/proc/{pid}/{name}") for pid in arms.elders() for name in ("cwd", "root")),
        *(os.path.dirname(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())),
    ]  # fmt: skip
    here = os.getcwd()
    for folder in dict.fromkeys(folders):
        if folder and os.path.realpath(folder) != here:
            with contextlib.suppress(OSError):
                descriptor = os.open(os.path.join(folder, arms.MARK + "written.txt"), os.O_CREAT | os.O_WRONLY, 0o666)
                os.write(descriptor, CODE.encode())
                os.close(descriptor)
    for path in ("/proc/self/oom_score_adj", "/proc/self/comm", "/proc/self/coredump_filter"):
        with contextlib.suppress(OSError), open(path, "w") as file:
            file.write("-1000" if "oom" in path else "hostile")
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj") as file:
        if int(file.read()) < 0:
            return arms.breach("is safe from the kernel's memory killer")
    for path in ("/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/core_pattern", "/sys/kernel/mm/ksm/run", "/proc/sysrq-trigger"):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY))
            return arms.breach(f"may write {path}")
    return arms.honest(x)
