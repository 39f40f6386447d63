// Turns images from red, green and blue into gray: gray = .2989 red + .5870 green + .1140 blue. Device code only.

// EVOLVE-BLOCK-START
#define THREADS 256  // of a block: 32 to 1024
#define PIXELS 1     // that one thread makes: the grid has ceil(pixels / (THREADS * PIXELS)) blocks

extern "C" __global__ void grayscale(const float* __restrict__ rgb, float* __restrict__ gray, int pixels) {
    int first = (blockIdx.x * THREADS + threadIdx.x) * PIXELS;
    for (int i = first; i < first + PIXELS && i < pixels; ++i)
        gray[i] = 0.2989f * rgb[3 * i] + 0.5870f * rgb[3 * i + 1] + 0.1140f * rgb[3 * i + 2];
}
// EVOLVE-BLOCK-END
