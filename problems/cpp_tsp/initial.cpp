// Reads points from standard input and prints a round tour through all of them: the order in which they are visited.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>

struct Point {
    double x, y;
};

static const auto START = std::chrono::steady_clock::now();

static double seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - START).count();
}

static double distance(const Point& a, const Point& b) { return std::hypot(a.x - b.x, a.y - b.y); }

// EVOLVE-BLOCK-START
// Returns the points' numbers in the order of the tour. Stop before seconds() reaches 1.8: the limit is 2 s, start included.
static std::vector<int> tour(const std::vector<Point>& points) {
    const int n = static_cast<int>(points.size());
    std::vector<int> order(n);
    std::iota(order.begin(), order.end(), 0);
    for (int k = 1; k < n; ++k) {  // next is always the nearest point that was not visited yet
        int nearest = k;
        for (int j = k + 1; j < n; ++j)
            if (distance(points[order[k - 1]], points[order[j]]) < distance(points[order[k - 1]], points[order[nearest]]))
                nearest = j;
        std::swap(order[k], order[nearest]);
    }
    return order;
}
// EVOLVE-BLOCK-END

int main() {
    int n = 0;
    if (std::scanf("%d", &n) != 1 || n < 1) return 2;
    std::vector<Point> points(n);
    for (Point& point : points)
        if (std::scanf("%lf %lf", &point.x, &point.y) != 2) return 2;
    for (int i : tour(points)) std::printf("%d\n", i);
}
