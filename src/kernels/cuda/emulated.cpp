// Runs the kernels on a processor: a block is as many threads as it has, blocks come one after the other.
//
// Input: name (32 bytes), blocks along x and y, and the number of arguments (u32 each); then each argument as its length
// (u64) and bytes. Output: the bytes of all arguments afterwards.

#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define __global__
#define __device__ static
#define __shared__ static

struct Place {
    unsigned x, y;
};
static thread_local Place threadIdx, blockIdx;
static Place gridDim;
static std::barrier<> *together;

static void __syncthreads() { together->arrive_and_wait(); }

static float __uint_as_float(unsigned bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#include "kernels.cu"

typedef std::vector<std::vector<char>> Arguments;

template <class T> struct As {
    static T of(std::vector<char> &bytes) {
        T value;
        memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
};
template <class T> struct As<T *> {
    static T *of(std::vector<char> &bytes) { return (T *)bytes.data(); }
};

template <class... P, size_t... I>
static void launch(void (*kernel)(P...), Arguments &all, std::index_sequence<I...>) {
    for (unsigned y = 0; y < gridDim.y; y++) {
        for (unsigned x = 0; x < gridDim.x; x++) {
            std::barrier<> barrier(THREADS);
            together = &barrier;
            std::vector<std::thread> threads;
            for (unsigned thread = 0; thread < THREADS; thread++) {
                threads.emplace_back([&, thread] {
                    threadIdx = {thread, 0};
                    blockIdx = {x, y};
                    kernel(As<P>::of(all[I])...);
                });
            }
            for (auto &thread : threads) thread.join();
        }
    }
}

template <class... P> static void run(void (*kernel)(P...), Arguments &all) {
    launch(kernel, all, std::index_sequence_for<P...>());
}

// The places of numbers that a table of parameters names by the number of the argument.
static void point(Arguments &all) {
    u64 *table = (u64 *)all[0].data();
    for (size_t at = 0; at + FIELDS <= all[0].size() / 8; at += FIELDS) {
        for (size_t field = 0; field < 4; field++) table[at + field] = (u64)all[table[at + field]].data();
    }
}

int main() {
    char name[33] = {};
    unsigned sizes[3];
    if (fread(name, 1, 32, stdin) != 32 || fread(sizes, 4, 3, stdin) != 3) return 1;
    gridDim = {sizes[0], sizes[1]};
    Arguments all(sizes[2]);
    for (auto &argument : all) {
        u64 length;
        if (fread(&length, 8, 1, stdin) != 1) return 1;
        argument.resize(length);
        if (fread(argument.data(), 1, length, stdin) != length) return 1;
    }
    std::string kernel = name;
    if (kernel == "squares" || kernel == "adamw") point(all);
#define KERNEL(own) if (kernel == #own) run(own, all); else
    KERNEL(sparse_product) KERNEL(dropout) KERNEL(gelu) KERNEL(gelu_backward) KERNEL(layer_norm)
    KERNEL(layer_norm_backward) KERNEL(layer_norm_parameters) KERNEL(attention_weights) KERNEL(softmax_backward)
    KERNEL(crf_moves) KERNEL(crf) KERNEL(crf_transitions) KERNEL(squares) KERNEL(adamw) KERNEL(adamw_rows)
    return 2;
    for (auto &argument : all) fwrite(argument.data(), 1, argument.size(), stdout);
    return 0;
}
