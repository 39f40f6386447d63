"""gpu_grayscale: what needs no GPU. The kernels, ours and candidates', are compiled by g++ and run thread by thread on the CPU.

No test here has run on a GPU: of host.py's `Device` (the driver) nothing is covered.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from evaluators import gpu
from evolve.cli import dispatch
from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage
from evolve.types import Status

FOLDER = bundled_root() / "gpu_grayscale"
needs_cpp = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
without_gpu = pytest.mark.skipif(bool(gpu.devices()), reason="this machine has a GPU")
asynchronous = pytest.mark.asyncio(loop_scope="session")


def load(file):
    spec = importlib.util.spec_from_file_location(f"gpu_grayscale_{file.replace('/', '_')}", FOLDER / f"{file}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # its dataclasses look for it
    spec.loader.exec_module(module)
    return module


referee, host = load("evaluator"), load("initial/host")
KERNEL = (FOLDER / "initial/kernel.cu").read_text()


def kernel(body, threads=32, per_thread=1, before="") -> str:
    head = 'extern "C" __global__ void grayscale(const float* rgb, float* gray, int pixels)'
    return f"#define THREADS {threads}\n#define PIXELS {per_thread}\n{before}\n{head} {{\n{body}\n}}\n"


def edited(old, new) -> str:
    assert old in KERNEL
    return KERNEL.replace(old, new)


def draw(stage, seed=0) -> list[Instance]:
    return referee.instances(Stage(name=stage), np.random.Generator(np.random.PCG64(seed)))


# ---------------------------------------------------------------- the folder and its data


def test_folder_loads():
    problem = load_problem("gpu_grayscale")
    assert (problem.edit, problem.entry_file, problem.requires) == (("kernel.cu",), "host.py", ("gpu",))
    assert problem.objectives == {"speedup": 1, "of_peak": 1} and problem.comparable_on == "gpu_model"
    assert [stage.profile for stage in problem.stages] == ["python", "gpu"]


def test_drawn_keys_stay_the_same():
    keys = [instance.secret for stage in ("main", "holdout") for instance in draw(stage)]
    assert hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:16] == "724bd165c4771602"


def test_images_of_the_holdout_have_other_sides_and_no_key_is_used_twice():
    (main,), (holdout,) = draw("main"), draw("holdout")
    assert not set(main.secret[0]) & set(holdout.secret[0])
    words = np.concatenate([np.ravel(key) for repeat in main.secret for side in repeat.values() for key in side])
    assert len(main.secret) == 5 and len(set(words.tolist())) == len(words)
    assert main.input == {"checked": [512, 517, 2048], "timed": [4096, 8192]}  # and no key


# ---------------------------------------------------------------- the text


def test_geometry_is_read_from_the_text():
    assert referee.geometry(KERNEL) == (256, 1)
    assert referee.geometry(kernel("", 1024, 4)) == (1024, 4)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "must define extern"),
        (edited('extern "C"', ""), "must define extern"),
        (edited("grayscale(", "greyscale("), "must define extern"),
        (edited("const float*", "float*"), "must define extern"),
        ("/* " + KERNEL.replace("/*", "") + " */", "must define extern"),
        (edited("#define THREADS 256", "#define THREADS 48 "), "THREADS is 48; it must be a multiple of 32"),
        (edited("#define THREADS 256", "#define THREADS 2048"), "THREADS is 2048; it must be from 32 to 1024"),
        (edited("#define THREADS 256", "#define THREADS 0x100"), "one line '#define THREADS N'"),
        (edited("#define THREADS 256", "#define THREADS 256\n#define THREADS 128"), "one line '#define THREADS N'"),
        (edited("#define PIXELS 1 ", "#define PIXELS 0 "), "one line '#define PIXELS N'"),
        (edited("#define PIXELS 1 ", "#define PIXELS 999 "), "PIXELS is 999; it must be from 1 to 256"),
        (edited("#define PIXELS 1 ", "// #define PIXELS 1 "), "one line '#define PIXELS N'"),
        ("#include <cstdio>\n" + KERNEL, "includes a file"),
        ("#inc\\\nlude </etc/passwd>\n" + KERNEL, "includes a file"),
        (KERNEL + "}", "has 1 '{' and 2 '}'"),
        (KERNEL + "/" * 20_000, "at most 20000"),
    ],
)
def test_text_that_is_no_kernel_is_refused(source, reason):
    with pytest.raises(Invalid, match=reason.replace("(", r"\(")):
        referee.geometry(source)


def test_empty_lines_are_read_fast():
    began = time.process_time()
    with pytest.raises(Invalid, match=r"must define extern"):
        referee.geometry("\n" * 19_999)
    assert time.process_time() - began < 1


@asynchronous
async def test_stage_static_needs_no_gpu(run):
    problem = load_problem("gpu_grayscale")
    outcome = await run(problem, stage="static")
    assert outcome.status is Status.OK and "nothing was run or timed" in outcome.feedback
    assert (await run(problem, "int x;", "static")).status is Status.INVALID


@without_gpu
def test_check_passes_static_and_is_skipped_then(capsys):
    assert dispatch(["check", "gpu_grayscale", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "skipped" and "needs a GPU" in found["feedback"]
    assert [(stage["name"], stage["status"]) for stage in found["stages"]] == [("static", "ok"), ("main", "skipped")]


@without_gpu
def test_prompt_is_rendered_and_shows_no_key_and_no_sides_of_the_holdout(capsys):
    assert dispatch(["prompt", "gpu_grayscale", "--json"]) == 0
    user = json.loads(capsys.readouterr().out)["user"]
    assert 'extern "C" __global__ void grayscale' in user and "5001" not in user


@without_gpu
def test_run_refuses_with_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert dispatch(["run", "problem=gpu_grayscale", "llm=command", "llm.command=cat", "run_dir=r"]) == 1
    assert "problem=gpu_grayscale: needs gpu, not found here" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


# ---------------------------------------------------------------- kernels, on the CPU

SHIM = r"""
#include <pthread.h>
#include <thread>
#include <vector>
struct Index { unsigned x; };
static thread_local Index threadIdx, blockIdx;
static Index blockDim, gridDim;
static pthread_barrier_t barrier;
#define __global__
#define __device__
#define __restrict__
#define __shared__ static
#define __syncthreads() pthread_barrier_wait(&barrier)
static unsigned atomicAdd(unsigned* to, unsigned what) { unsigned old = *to; *to += what; return old; }
extern "C" void shape(unsigned grid, unsigned threads) {
    gridDim.x = grid; blockDim.x = threads; pthread_barrier_init(&barrier, nullptr, threads);
}
typedef void Kernel(void*, void*, unsigned, unsigned);
extern "C" void meet(Kernel* kernel, unsigned block, void* from, void* to, unsigned a, unsigned b) {
    std::vector<std::thread> all;
    for (unsigned k = 0; k < blockDim.x; ++k)
        all.emplace_back([=] { blockIdx.x = block; threadIdx.x = k; kernel(from, to, a, b); });
    for (std::thread& one : all) one.join();
}
extern "C" void at(unsigned block, unsigned thread) { blockIdx.x = block; threadIdx.x = thread; }
"""


class Emulated:
    """Stands for host.Device: memory is this process's own, threads run one by one, or at once where they meet."""

    def __init__(self, folder):
        self.folder = folder
        self.memory = {}

    def bandwidth_gb_s(self):
        return 1000.0

    def module(self, source):
        name = hashlib.sha256(source.encode()).hexdigest()[:16]
        target = self.folder / f"{name}.so"
        if not target.exists():
            (self.folder / f"{name}.cpp").write_text(SHIM + source)
            command = ["g++", "-O1", "-shared", "-fPIC", "-pthread", "-o", target, self.folder / f"{name}.cpp"]
            subprocess.run(command, check=True, capture_output=True)
        return ctypes.CDLL(str(target))

    def function(self, module, name):
        return module, name

    def alloc(self, size):
        held = np.zeros(size + 16, np.uint8)
        self.memory[held.ctypes.data] = held
        return held.ctypes.data

    def free(self, pointer):
        del self.memory[pointer]

    def set32(self, pointer, word, count):
        self.view(pointer, np.uint32, count)[:] = word

    def launch(self, function, grid, threads, pointers, words):
        module, name = function
        module.shape(grid, threads)
        args = [*map(ctypes.c_void_p, pointers), *map(ctypes.c_uint32, words)]

        for block in range(grid):
            if name == "weigh":
                module.meet(module[name], block, *args)
                continue
            for thread in range(threads):
                module.at(block, thread)
                module[name](*args)

    def synchronize(self): ...

    def view(self, pointer, dtype, count):
        size = count * np.dtype(dtype).itemsize
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(pointer)).view(dtype)

    def read(self, pointer, dtype, count):
        return self.view(pointer, dtype, count).copy()

    def mark(self): ...

    def between(self, began, ended):
        return 0.5


class Emulation:
    """Stands for `candidate`: each process has a device of its own; `kept` counts them."""

    def __init__(self, folder, source):
        self.folder, self.text = folder, source
        self.files = {"kernel.cu": source, "host.py": referee.HOST}
        self.kept = 0

    @contextlib.contextmanager
    def replaced(self, files):
        assert files == referee.REFERENCE
        self.restart()
        yield
        self.restart()

    def restart(self):
        self.bench = None
        self.kept += 1

    def start(self, source, threads, per_thread):
        self.bench = host.Bench(Emulated(self.folder), source, threads, per_thread)
        return self.bench.device.bandwidth_gb_s()

    def __getattr__(self, name):
        return getattr(self.bench, name)


# two keys of images and two of sums each
SIDES = {8: [[1, 2, 3], [4, 5, 6], 7, 8], 17: [[9, 8, 7], [6, 5, 4], 3, 2], 16: [[1, 1, 2], [2, 1, 1], 9, 10]}
CASE = Instance({"checked": [8, 17], "timed": [16]}, secret=[SIDES], name="images")
ODD = Instance({"checked": [17], "timed": []}, secret=[SIDES], name="images")


def weights(pixels, key):
    mix = referee.mix
    return 0.5 + (mix(mix(mix(np.arange(pixels) + key))) >> 8) * 2.0**-24


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def evaluated(built, monkeypatch):
    monkeypatch.setattr(referee, "_clocked", lambda call, key: (0.003 if call.__name__ == "run" else 0.001, call(key)))
    return lambda source, case=CASE: referee.score(case, referee.drive(case, Emulation(built, source)))


@needs_cpp
def test_initial_kernel_is_right_and_the_time_without_it_is_not_its_own(evaluated):
    result = evaluated(KERNEL)
    assert result.metrics == pytest.approx({"speedup": 1.0, "of_peak": 16 * 2 * 256 / 0.002 / 1000e9})
    assert "16 x 16: 2.000 ms, reference 2.000 ms" in result.feedback
    assert "by CUDA events 0.500 ms" in result.feedback


@needs_cpp
@pytest.mark.parametrize("per_thread", [1, 5])
def test_another_shape_of_the_grid_is_right(evaluated, per_thread):
    body = """
    for (int k = 0; k < PIXELS; ++k) {
        int i = (blockIdx.x * PIXELS + k) * THREADS + threadIdx.x;
        if (i < pixels) gray[i] = 0.114f * rgb[3 * i + 2] + 0.587f * rgb[3 * i + 1] + 0.2989f * rgb[3 * i];
    }"""
    assert evaluated(kernel(body, 64, per_thread)).metrics["speedup"] > 0


@needs_cpp
def test_images_are_those_that_the_referee_draws(built):
    bench = host.Bench(Emulated(built), KERNEL, 256, 1)
    keys = [[7, 8, 9], [2**32 - 1, 2**31, 1]]
    bench.prepare(100, keys)
    before = bench.idle(3)["sums"]
    assert before.shape == (2, 1) and np.isnan(before).all()  # nothing of the warm-up is left in the outputs
    sums = bench.run(5)["sums"]
    assert bench.image() == pytest.approx(referee.gray(100, keys[0]), abs=1e-6)
    assert sums[:, 0] == pytest.approx([weights(100, 5) @ referee.gray(100, key) for key in keys], rel=1e-6)
    assert bench.verify() == 0


def test_drawn_values_are_known():
    assert referee.mix(np.array([0, 1, 2**32 - 1])).tolist() == [0, 0x514E28B7, 0x81F16F39]  # of MurmurHash3
    assert 0.35 < referee.gray(10_000, [1, 2, 3]).mean() / 0.9999 < 0.65


PIXEL = "int i = blockIdx.x * THREADS + threadIdx.x; if (i >= pixels) return;"
RIGHT = "gray[i] = 0.2989f * rgb[3 * i] + 0.587f * rgb[3 * i + 1] + 0.114f * rgb[3 * i + 2];"
HOLES = {
    "does nothing": "",
    "leaves out one pixel": f"{PIXEL} if (i != 37) {RIGHT}",
    "leaves out the tail": f"{PIXEL} if (i < pixels / 4 * 4) {RIGHT}",
    "writes zeros": f"{PIXEL} gray[i] = 0.0f;",
    "writes NaN": f"{PIXEL} gray[i] = 0.0f / 0.0f;",
    "writes infinity": f"{PIXEL} gray[i] = 1.0f / 0.0f;",
    "writes into the image": f"{PIXEL} const_cast<float*>(rgb)[i] = 0.0f;",
    "makes the image fit a cheap answer": f"{PIXEL} float* p = const_cast<float*>(rgb) + 3 * i;"
    "p[0] = p[1] = p[2] = gray[i] = 0.0f;",
    "is off by more than the tolerance": f"{PIXEL} {RIGHT} gray[i] *= 1.0005f;",
    "reads one channel": f"{PIXEL} gray[i] = rgb[3 * i + 1];",
}


@needs_cpp
@pytest.mark.parametrize("body", HOLES.values(), ids=HOLES)
def test_kernel_that_is_wrong_anywhere_is_refused(evaluated, body):
    with pytest.raises(Invalid, match=r"pixels are NaN or off"):
        evaluated(kernel(body), ODD)


@needs_cpp
def test_answers_of_an_earlier_launch_are_of_no_use(evaluated):
    before = "__device__ float kept[1 << 12]; __device__ int launched;"
    body = f"{PIXEL} if (launched < pixels) {{ {RIGHT} kept[i] = gray[i]; ++launched; }} else gray[i] = kept[i];"
    with pytest.raises(Invalid, match=r"pixels are NaN or off"):
        evaluated(kernel(body, before=before), ODD)


# undoes the last mix of the first pixel, 256 times for the bits that it does not show, and draws the image from there
RECOVERED = r"""
__device__ unsigned mixed(unsigned x) { x ^= x >> 16; x *= 0x85ebca6bU; x ^= x >> 13; x *= 0xc2b2ae35U; return x ^ x >> 16; }
__device__ unsigned undone(unsigned x) {
    x ^= x >> 16; x *= 0x7ed1b41dU; x ^= x >> 13 ^ x >> 26; x *= 0xa5cb9243U; return x ^ x >> 16;
}
__device__ float value(unsigned x) { return (mixed(x) >> 8) * 5.9604644775390625e-08f; }
"""
DRAWN = """
unsigned top = (unsigned)(rgb[0] * 16777216.0f) << 8, key = 0;
for (unsigned low = 0; low < 256; ++low) {
    unsigned k = undone(top | low);
    if (value(k) == rgb[0] && value(k + 1) == rgb[1] && value(k + 2) == rgb[2]) key = k;
}
gray[i] = 0.2989f * value(3 * i + key) + 0.587f * value(3 * i + 1 + key) + 0.114f * value(3 * i + 2 + key);
"""


@needs_cpp
def test_the_key_is_not_told_by_the_first_pixel(evaluated):
    with pytest.raises(Invalid, match=r"pixels are NaN or off"):
        evaluated(kernel(PIXEL + DRAWN, before=RECOVERED), ODD)


# ---------------------------------------------------------------- what the candidate's process says


def measured(**changed) -> referee.Measured:
    """What an honest process tells of SIDES, with changes to what is told of every side."""

    def images(side, seconds):
        want = [referee.gray(side * side, key) for key in SIDES[side][:-2]]
        sums = np.array([[weights(side * side, SIDES[side][-1]) @ one] for one in want])
        return referee.Images(seconds, 0.1, sums, 0, want[0].astype(np.float32) if side != 16 else None)

    found = {side: images(side, 0.001) for side in SIDES}
    for one in found.values():
        for name, value in changed.items():
            setattr(one, name, value(getattr(one, name)) if callable(value) else value)
    return referee.Measured([found], [{side: images(side, 0.002) for side in SIDES}], 1000.0)


def test_speedup_is_the_reference_s_time_over_the_candidate_s():
    metrics = referee.score(CASE, measured()).metrics
    assert metrics["speedup"] == pytest.approx(2.0)
    assert metrics["of_peak"] == pytest.approx(16 * 2 * 256 / 0.001 / 1000e9)


@pytest.mark.parametrize("seconds", [1e-9, 0.0, -1.0])
def test_faster_than_the_memory_is_suspect(seconds):
    metrics = referee.score(CASE, measured(seconds=seconds)).metrics
    assert "better than the bound" in load_problem("gpu_grayscale").beyond_bound(metrics)
    assert not load_problem("gpu_grayscale").beyond_bound(referee.score(CASE, measured()).metrics)


def test_times_of_cuda_events_are_not_scored():
    assert referee.score(CASE, measured(events_ms=1e-9)).metrics == referee.score(CASE, measured()).metrics


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"wrong": 1}, "8 x 8: 1 of 128 pixels are NaN or off"),
        ({"wrong": True}, "True of 128"),
        ({"wrong": 0.0}, "0.0 of 128"),
        ({"wrong": None}, "None of 128"),
        ({"sums": lambda sums: sums + 2.0}, "8 x 8: the sums over the pixels differ"),
        ({"sums": lambda sums: sums * np.nan}, "the sums over the pixels differ"),
        ({"sums": lambda sums: sums[:1]}, "no float64 array of shape"),
        ({"sums": lambda sums: sums.astype(np.float32)}, "no float64 array of shape"),
        ({"sums": lambda sums: sums.tolist()}, "no float64 array of shape"),
        ({"image": lambda image: None if image is None else image * np.float32(1.001)}, "pixel .* it must be"),
        ({"image": lambda image: None if image is None else image + np.float32(np.nan)}, "pixel 0 is nan"),
        ({"image": lambda image: None if image is None else image[:-1]}, "no float32 array of shape"),
        ({"image": lambda image: None if image is None else image.astype(np.float64)}, "no float32 array of shape"),
        ({"image": lambda image: None if image is None else image.astype(object)}, "no float32 array of shape"),
    ],
)
def test_what_does_not_agree_is_refused(changed, reason):
    with pytest.raises(Invalid, match=reason):
        referee.score(CASE, measured(**changed))


def test_another_host_is_refused(built):
    candidate = Emulation(built, KERNEL)
    candidate.files["host.py"] += "\n"
    with pytest.raises(Invalid, match=r"host.py was changed"):
        referee.drive(CASE, candidate)


@needs_cpp
def test_every_repeat_has_processes_of_its_own(built):
    candidate = Emulation(built, KERNEL)
    referee.drive(Instance(ODD.input, secret=[SIDES, SIDES]), candidate)
    assert candidate.kept == 6  # for each of two: before the reference, after it, before the candidate


# ---------------------------------------------------------------- the compiler, where there is one


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("source", [KERNEL, host.KERNELS], ids=["initial", "ours"])
def test_kernels_compile_for_a_gpu(tmp_path, source):
    (tmp_path / "kernel.cu").write_text(source)
    command = ["nvcc", "-arch=sm_80", "-cubin", "-o", "kernel.cubin", "kernel.cu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def has_nvrtc() -> bool:
    try:
        host.nvrtc()
    except RuntimeError:
        return False
    return True


@pytest.mark.integration
@pytest.mark.skipif(not has_nvrtc(), reason="needs NVRTC")
def test_nvrtc_compiles_and_tells_what_is_wrong():
    for source in (KERNEL, host.KERNELS):
        assert host.compiled(source, "sm_80").startswith(b"\x7fELF")
    with pytest.raises(ValueError, match=r"does not compile:\nkernel.cu.*error: expected"):
        host.compiled(edited("pixels; ++i", "pixels ++i"), "sm_80")
