"""Runs `kernel.cu` on the GPU for the scorer: `prepare` draws images there, `run` is what is timed, `verify` checks every pixel.

This file is not searched: the referee refuses a candidate that has another one. The kernel is the only code of a candidate;
no memory of the images is filled while it has run. Needs the driver (libcuda) and NVRTC, by ctypes; no package.
"""

import ctypes
import glob
import os
import sys

import numpy as np

THREADS = 256  # of the kernels here
PER_BLOCK = 4096  # pixels in one sum of `run`
NOT_A_NUMBER = 0x7FC00000

KERNELS = r"""
__device__ unsigned mix(unsigned x) {  // the finalizer of MurmurHash3 (Appleby, public domain)
    x ^= x >> 16; x *= 0x85ebca6bU; x ^= x >> 13; x *= 0xc2b2ae35U; return x ^ x >> 16;
}

__device__ float uniform(unsigned i, unsigned a, unsigned b, unsigned c) {  // of [0, 1), 24 bits
    return (mix(mix(mix(i + a) + b) + c) >> 8) * 5.9604644775390625e-08f;  // one mix is undone from two values
}

extern "C" __global__ void fill(float* rgb, unsigned count, unsigned a, unsigned b, unsigned c) {
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    if (i < count) rgb[i] = uniform(i, a, b, c);
}

extern "C" __global__ void weigh(const float* gray, double* sums, unsigned pixels, unsigned key) {
    __shared__ double part[256];
    double sum = 0.0;
    for (unsigned k = threadIdx.x; k < 4096; k += 256) {
        unsigned i = blockIdx.x * 4096 + k;
        if (i < pixels) sum += (0.5 + uniform(i, key, 0, 0)) * gray[i];
    }
    part[threadIdx.x] = sum;
    __syncthreads();
    for (int half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}

extern "C" __global__ void compare(const float* gray, unsigned* wrong, unsigned pixels, unsigned a, unsigned b, unsigned c) {
    unsigned i = blockIdx.x * 256 + threadIdx.x;
    if (i >= pixels) return;
    double y = 0.2989 * uniform(3 * i, a, b, c);
    y += 0.5870 * uniform(3 * i + 1, a, b, c) + 0.1140 * uniform(3 * i + 2, a, b, c);
    double off = gray[i] - y;
    if (!(off <= 1e-4 + 1e-4 * y && -off <= 1e-4 + 1e-4 * y)) atomicAdd(wrong, 1u);
}
"""


def blocks(count, per_block):
    return -(-count // per_block)


class Bench:
    """Images of one size on a device: made by `prepare`, once for each size; each is turned gray once, by `run`."""

    def __init__(self, device, source, threads, per_thread):
        self.device = device
        ours, theirs = device.module(KERNELS), device.module(source)
        self.fill, self.weigh, self.compare = (device.function(ours, name) for name in ("fill", "weigh", "compare"))
        self.grayscale = device.function(theirs, "grayscale")
        self.threads, self.per_thread = threads, per_thread
        self.held = []

    def prepare(self, pixels, keys):
        """Lets the kernel run once on images that nobody scores, then draws one from each key, three words; outputs are NaN before."""
        device = self.device
        for pointer in self.held:
            device.free(pointer)
        self.pixels, self.keys = pixels, keys
        self.sum_count = blocks(pixels, PER_BLOCK)
        self.images = [(device.alloc(12 * pixels), device.alloc(4 * pixels)) for _ in keys]
        self.sums, self.wrong = device.alloc(8 * self.sum_count * len(keys)), device.alloc(4)
        self.held = [pointer for image in self.images for pointer in image] + [self.sums, self.wrong]
        self._turn_gray(*self.images[0])
        device.synchronize()  # the kernel is over before anything is drawn
        for (rgb, gray), key in zip(self.images, keys):
            device.launch(self.fill, blocks(3 * pixels, THREADS), THREADS, [rgb], [3 * pixels, *key])
            device.set32(gray, NOT_A_NUMBER, pixels)
        device.synchronize()

    def idle(self, key):
        """Does what `run` does but for the kernel: what this takes is not the kernel's."""
        began = self.device.mark()
        ended = self.device.mark()
        return self._weighed(key, began, ended)

    def run(self, key):
        """Turns all images gray; returns (images, blocks) weighted sums of what came out, and the events' milliseconds."""
        began = self.device.mark()
        for rgb, gray in self.images:
            self._turn_gray(rgb, gray)
        ended = self.device.mark()
        return self._weighed(key, began, ended)

    def verify(self):
        """Returns how many pixels of all images are wrong; what they ought to be is drawn once more, from the keys."""
        self.device.set32(self.wrong, 0, 1)
        for (_, gray), key in zip(self.images, self.keys):
            grid = blocks(self.pixels, THREADS)
            self.device.launch(self.compare, grid, THREADS, [gray, self.wrong], [self.pixels, *key])
        return int(self.device.read(self.wrong, np.uint32, 1)[0])

    def image(self):
        """Returns the first gray image, (pixels,)."""
        return self.device.read(self.images[0][1], np.float32, self.pixels)

    def _turn_gray(self, rgb, gray):
        grid = blocks(self.pixels, self.threads * self.per_thread)
        self.device.launch(self.grayscale, grid, self.threads, [rgb, gray], [self.pixels])

    def _weighed(self, key, began, ended):
        for k, (_, gray) in enumerate(self.images):
            sums = self.sums + 8 * self.sum_count * k
            self.device.launch(self.weigh, self.sum_count, THREADS, [gray, sums], [self.pixels, key])
        sums = self.device.read(self.sums, np.float64, self.sum_count * len(self.keys))
        return {"sums": sums.reshape(len(self.keys), -1), "events_ms": self.device.between(began, ended)}


# ---------------------------------------------------------------- what the scorer calls

bench = None


def start(source, threads, per_thread):
    """Compiles the kernel; returns the device's largest memory bandwidth in GB/s."""
    global bench
    device = Device()
    bench = Bench(device, source, threads, per_thread)
    return device.bandwidth_gb_s()


def prepare(pixels, keys):
    bench.prepare(pixels, keys)


def idle(key):
    return bench.idle(key)


def run(key):
    return bench.run(key)


def verify():
    return bench.verify()


def image():
    return bench.image()


# ---------------------------------------------------------------- the driver

MEMORY_CLOCK_KHZ, BUS_WIDTH, MAJOR, MINOR = 36, 37, 75, 76  # attributes of a device, as the driver numbers them


class Device:
    """The first GPU that this process sees. A fault of the driver raises RuntimeError with its name."""

    def __init__(self):
        self.cuda = ctypes.CDLL("libcuda.so.1")
        self._call("cuInit", 0)
        self.device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(self.device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device)
        self._call("cuCtxSetCurrent", context)
        self.architecture = f"sm_{self._attribute(MAJOR)}{self._attribute(MINOR)}"

    def _call(self, name, *args):
        code = getattr(self.cuda, name)(*args)
        if code:
            text = ctypes.c_char_p()
            self.cuda.cuGetErrorName(code, ctypes.byref(text))
            raise RuntimeError(f"{name}: {(text.value or b'').decode() or code}")

    def _attribute(self, number):
        value = ctypes.c_int()
        self._call("cuDeviceGetAttribute", ctypes.byref(value), number, self.device)
        return value.value

    def bandwidth_gb_s(self):
        """Returns twice the memory's clock (both edges) times the width of its bus."""
        return 2.0 * self._attribute(MEMORY_CLOCK_KHZ) * self._attribute(BUS_WIDTH) / 8 / 1e6

    def module(self, source):
        module, cubin = ctypes.c_void_p(), compiled(source, self.architecture)
        self._call("cuModuleLoadData", ctypes.byref(module), cubin)
        return module

    def function(self, module, name):
        function = ctypes.c_void_p()
        self._call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
        return function

    def alloc(self, size):
        pointer = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        return pointer.value

    def free(self, pointer):
        self._call("cuMemFree_v2", ctypes.c_uint64(pointer))

    def set32(self, pointer, word, count):
        self._call("cuMemsetD32_v2", ctypes.c_uint64(pointer), ctypes.c_uint(word), ctypes.c_size_t(count))

    def launch(self, function, grid, threads, pointers, words):
        """Starts a kernel whose parameters are these pointers, and then words of 32 bits."""
        values = [*map(ctypes.c_uint64, pointers), *map(ctypes.c_uint32, words)]
        places = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        self._call("cuLaunchKernel", function, grid, 1, 1, threads, 1, 1, 0, None, places, None)

    def synchronize(self):
        self._call("cuCtxSynchronize")

    def read(self, pointer, dtype, count):
        """Waits for the kernels before, and returns what is there."""
        found = np.empty(count, dtype)
        target = found.ctypes.data_as(ctypes.c_void_p)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(pointer), ctypes.c_size_t(found.nbytes))
        return found

    def mark(self):
        event = ctypes.c_void_p()
        self._call("cuEventCreate", ctypes.byref(event), 0)
        self._call("cuEventRecord", event, None)
        return event

    def between(self, began, ended):
        milliseconds = ctypes.c_float()
        self._call("cuEventSynchronize", ended)
        self._call("cuEventElapsedTime", ctypes.byref(milliseconds), began, ended)
        return milliseconds.value


def nvrtc():
    """Loads the runtime compiler: from the dynamic linker's places, the toolkit's, or the package nvidia-cuda-nvrtc."""
    folders = ["/usr/local/cuda*/lib64", *(os.path.join(path, "nvidia/*/lib") for path in sys.path if path)]
    found = [path for folder in folders for path in sorted(glob.glob(f"{folder}/libnvrtc.so.*"), reverse=True)]
    for name in ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so", *found]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            pass
    raise RuntimeError("libnvrtc was not found; install the CUDA toolkit, or the package nvidia-cuda-nvrtc")


def compiled(source, architecture):
    """Returns the machine code of a source for an architecture like sm_90. Raises ValueError with the compiler's messages."""
    library, program, size = nvrtc(), ctypes.c_void_p(), ctypes.c_size_t()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture={architecture}".encode())
    failed = library.nvrtcCompileProgram(program, 1, options)
    kind = "ProgramLog" if failed else "CUBIN"
    getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size))
    found = ctypes.create_string_buffer(max(size.value, 1))
    if getattr(library, f"nvrtcGet{kind}")(program, found) or failed or not size.value:
        raise ValueError("the kernel does not compile:\n" + found.value.decode("utf-8", "replace")[:1500])
    return found.raw
