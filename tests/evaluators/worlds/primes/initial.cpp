#include <cstdio>
#include <vector>

int main() {
    long n = 0;
    if (std::scanf(" [%ld]", &n) != 1) return 2;
    // EVOLVE-BLOCK-START
    std::vector<bool> composite(n, false);
    long count = 0;
    for (long p = 2; p < n; ++p) {
        if (composite[p]) continue;
        ++count;
        for (long q = p * p; q < n; q += p) composite[q] = true;
    }
    // EVOLVE-BLOCK-END
    std::printf("{\"primes\": %ld}\n", count);
}
