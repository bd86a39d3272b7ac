"""How many vertices of 15 tracks are fitted and differentiated in a second, against batched torch.linalg, in one run.

Claims, for jets of 15 tracks, forward and backward (with respect to the weights, as a network that learns them asks
for), one core, a processor with AVX-512: at least 0.8 million fits a second in float64 and 1.6 million in float32, and
1.9 times that on two cores; numba at least 100 thousand forward; the extrapolation under 0.2 microseconds a track,
forward and backward. Rates are given by the clock and by the processor time of the threads: the second is what a quiet
machine gives where other programs run beside the benchmark. Two threads are timed for several numbers of jets: 40,000
is that of the trial in plain C++ behind the claim, and of fewer the part of torch that one thread does alone is larger.
Beside it stands what two programs at once are worth on this machine.

What was tried for the C++ fit, with the gain that was predicted and the one that was found (both ways, float64 and
float32, millions a second; 2.4 GHz, AVX-512, a neighbour on the other core):

    where it began                                                     0.25   0.28
    a unit of translation for each instruction set         x 2      -> 0.43   0.73
    fused multiply-adds, chosen by the types               x 1.2    -> 0.51   0.87
    small angles, motions kept instead of linearisations   x 1.2    -> 0.51   0.94
    rows transposed by shuffles, the next tile fetched     x 1.2    -> 0.61   1.12
    two tracks side by side in one pair of packs           x 1.5    -> slower: registers spill (dropped)
    shorter chains of operations, tracks aimed in fours    x 1.2    -> 0.70   1.21
    a gradient of the weights alone                        x 1.1    -> 0.73   1.30
    float32 without denormal numbers                       (found)  -> 0.73   1.50
    the next tile fetched a little with every track        x 1.05   -> 0.83   1.65

On another day the last line gave 0.75 and 1.40; from there, in processor time of the calls alone:

    the fit leaves its response to the weights behind      x 1.2    -> 0.93   1.64
    its memory fetched ahead, one division for two         x 1.05   -> 0.95   1.89

and as this script times a step, torch's part included: 0.80 to 0.83 and 1.49 to 1.59 (once 1.12).

Then on an AMD EPYC of the fifth generation (AVX-512), where a step began at 2.3 and 4.3; its speed changes by a tenth
from hour to hour, so ratios to that version, timed in turns, count:

    written once for processor and CUDA                    x 1.0    -> 0.71   0.75   (lambdas were not inlined)
      inlined by force                                     x 1.2    -> 0.85   0.77   (structures cleared by `rep stos`)
      no aggregate that is cleared as a whole              x 1.2    -> 0.98   0.99
      products with the adjugate before its determinant    x 1.05   -> no change (kept: it is not longer)
    gradient of the weights as a plain loop                x 1.0    -> 0.23 to 0.14 ms of a step
    two threads: a team that sleeps, memory taken once,
    jets shared out in pieces of 64 to 256                 x 1.1    -> a step of 20,000 jets 1.75 to 1.81 times one
      one vertex without its axis, no dispatcher           88 -> 45 us of torch in a step -> 64 us; 505 -> 430 us where
                                                                       the jets have flushed the caches
      larger pieces, neighbouring ones to the same thread  x 1.02   -> calls of 20,000 jets x 1.01 to 1.04
      threads that wait 0.3 ms before they sleep           x 1.02   -> calls of 20,000 jets x 1.01 and 1.03
    steps that went up are shortened (found: sums that an
      inlined function returns stay in memory, a tenth)    x 1.0    -> 2.56, 4.87 (before) to 2.57, 4.90 (calls)
      whole steps before that, in five runs of this script: 1.84 to 1.96 (once 1.67) with 10,000 to 40,000 jets, 1.90
      to 1.98 with 100,000; two programs 1.63 to 1.96
    For some seconds at a time two threads are worth 1.6 to 1.7 on that machine; once two that only copied memory were
    worth 1.1 to 1.4 in the same seconds. Where it is the code and not the machine was not told apart in every case.

    python benchmarks/vertex_fit.py [--jets 10000] [--repeat 15]

The CUDA kernels have benchmarks/cuda_kernels.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from engine_kernels import backends
from engine_kernels.extrapolate.api import extrapolate
from engine_kernels.vertex_fit import native
from engine_kernels.vertex_fit.api import vertex_fit
from engine_kernels.vertex_fit.problem import Problem
from engine_kernels.vertex_fit.toys import make_toys
from torch import Tensor

from engine.memory import keep_freed_memory

TRACKS = 15
CLAIMS = {torch.float64: 0.8e6, torch.float32: 1.6e6}
SPEED_UP = 1.9  # of two cores: times the claims, and, where it is met too, times what one does


def main() -> None:
    """Print every rate and its claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jets", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"vertex_fit: {backends.choose('vertex_fit')}")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:1])
    fits = {}
    for dtype, claim in CLAIMS.items():
        fits[dtype] = fit_rates(dtype, options.jets, options.repeat, claim)
    linalg_rates(min(options.jets, 1000), options.repeat, fits[torch.float64])
    numba_rates(options.jets, max(3, options.repeat // 3))
    extrapolation(options.jets, options.repeat)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:2])
        two_cores(options.jets, options.repeat)


def timed(work: Callable[[], object], repeat: int) -> tuple[float, float, float]:
    """Seconds by the clock, of this thread and of the process (medians), after two calls that do not count."""
    work()
    work()
    rows = []
    for _ in range(repeat):
        start = time.perf_counter(), time.thread_time(), time.process_time()
        work()
        end = time.perf_counter(), time.thread_time(), time.process_time()
        rows.append([b - a for a, b in zip(start, end, strict=True)])
    clock, thread, process = (statistics.median(column) for column in zip(*rows, strict=True))
    return clock, thread, process


def inputs(jets: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Tracks, variances and weights of toy jets; the weights are those of an untrained sigmoid."""
    toys = make_toys(jets, TRACKS, seed=7)
    weights = torch.sigmoid(2 * torch.randn(jets, TRACKS, generator=torch.Generator().manual_seed(7)))
    values = (torch.tensor(toys.tracks), torch.tensor(toys.variances), weights)
    tracks, variances, heavy = (value.to(dtype) for value in values)
    return tracks, variances, heavy.requires_grad_()


def both_ways(tracks: Tensor, variances: Tensor, weights: Tensor, **settings: int) -> Callable[[], object]:
    """A step: the fit, and the gradient of its vertex with respect to the weights."""
    cotangent = torch.ones(len(tracks), 3, dtype=tracks.dtype, device=tracks.device)

    def step() -> object:
        fit = vertex_fit(tracks, variances, weights, **settings)
        return torch.autograd.grad(fit.vertex, weights, cotangent)

    return step


def fit_rates(dtype: torch.dtype, jets: int, repeat: int, claim: float) -> float:
    """Print forward, both ways, and both ways for all inputs; returns the rate both ways by processor time."""
    tracks, variances, weights = inputs(jets, dtype)
    name = str(dtype).removeprefix("torch.")
    with torch.no_grad():
        clock, thread, _ = timed(lambda: vertex_fit(tracks, variances, weights), repeat)
    print(f"{name} forward            {jets / clock / 1e6:6.3f} M fits/s, by processor time {jets / thread / 1e6:6.3f}")
    clock, thread, _ = timed(both_ways(tracks, variances, weights), repeat)
    rate = jets / thread
    print(
        f"{name} forward, backward  {jets / clock / 1e6:6.3f} M fits/s, by processor time {rate / 1e6:6.3f} "
        f"(claim {claim / 1e6:.1f}: {verdict(rate, claim)})"
    )
    leaves = [value.detach().clone().requires_grad_() for value in (tracks, variances, weights)]

    def everything() -> object:
        fit = vertex_fit(*leaves)
        return torch.autograd.grad(fit.vertex.sum() + fit.covariance.sum() + fit.chi2.sum(), leaves)

    clock, thread, _ = timed(everything, repeat)
    print(f"{name} gradients of all   {jets / clock / 1e6:6.3f} M fits/s, by processor time {jets / thread / 1e6:6.3f}")
    return rate


def linalg_fit(tracks: Tensor, variances: Tensor, weights: Tensor, iterations: int = 5) -> Tensor:
    """The textbook fit: dense 5x3 Jacobians, batched torch.linalg, differentiated through its iterations."""
    g = torch.diag_embed(1 / variances)
    v = tracks.new_zeros(len(tracks), 3)
    p = tracks[..., 2:]
    for _ in range(iterations):
        phi, theta, rho = p.unbind(-1)
        c, s, t = torch.cos(phi), torch.sin(phi), 1 / torch.tan(theta)
        x, y, z = (part.unsqueeze(-1) for part in v.unbind(-1))
        Q, R, u, zero, one = x * c + y * s, y * c - x * s, 1 + t * t, torch.zeros_like(phi), torch.ones_like(phi)
        k = 1 - R * rho
        h = torch.stack([-R - rho * Q * Q / 2, z - t * Q * k, phi - rho * Q, theta, rho], -1)
        a = [
            [s - rho * Q * c, -c - rho * Q * s, zero],
            [-t * (c * k + rho * Q * s), -t * (s * k - rho * Q * c), one],
            [-rho * c, -rho * s, zero],
            [zero] * 3,
            [zero] * 3,
        ]
        b = [
            [Q * k, zero, -Q * Q / 2],
            [-t * (R * k + rho * Q * Q), u * Q * k, t * Q * R],
            [k, zero, -Q],
            [zero, one, zero],
            [zero, zero, one],
        ]
        A, B = (torch.stack([torch.stack(row, -1) for row in rows], -2) for rows in (a, b))
        e = (tracks - h).unsqueeze(-1)
        W = torch.linalg.inv(B.mT @ g @ B)
        K = A.mT @ g @ B @ W
        w = weights[..., None, None]
        M = (w * (A.mT @ g @ A - K @ B.mT @ g @ A)).sum(1)
        force = (w * (A.mT @ g @ e - K @ B.mT @ g @ e)).sum(1)
        dv = torch.linalg.solve(M, force)
        p = p + (W @ B.mT @ g @ (e - A @ dv.unsqueeze(1))).squeeze(-1)
        v = v + dv.squeeze(-1)
    return v


def linalg_rates(jets: int, repeat: int, rate: float) -> None:
    """The same step in batched torch.linalg, and how many times faster the kernel is."""
    tracks, variances, weights = inputs(jets, torch.float64)
    cotangent = torch.ones(jets, 3, dtype=torch.float64)
    apart = (linalg_fit(tracks, variances, weights) - vertex_fit(tracks, variances, weights).vertex).abs().median()
    _, thread, _ = timed(
        lambda: torch.autograd.grad(linalg_fit(tracks, variances, weights), weights, cotangent), max(3, repeat // 3)
    )
    print(
        f"torch.linalg, both ways   {jets / thread / 1e6:6.4f} M fits/s by processor time: the kernel is "
        f"{rate * thread / jets:.0f} times faster (their vertices differ by {apart:.0e} mm)"
    )


def numba_rates(jets: int, repeat: int) -> None:
    """Forward with numba, float64."""
    tracks, variances, weights = inputs(jets, torch.float64)
    before = os.environ.get("ENGINE_KERNELS")
    os.environ["ENGINE_KERNELS"] = "numba"
    try:
        with torch.no_grad():
            _, thread, _ = timed(lambda: vertex_fit(tracks, variances, weights), repeat)
        _, both, _ = timed(both_ways(tracks, variances, weights), repeat)
    finally:
        if before is None:
            del os.environ["ENGINE_KERNELS"]
        else:
            os.environ["ENGINE_KERNELS"] = before
    met = verdict(jets / thread, 1e5)
    print(
        f"numba forward             {jets / thread / 1e3:6.0f} k fits/s by processor time (claim 100: {met}), "
        f"both ways {jets / both / 1e3:.0f}"
    )


def extrapolation(jets: int, repeat: int) -> None:
    """Microseconds a track, forward and backward."""
    for dtype in (torch.float64, torch.float32):
        tracks, _, _ = inputs(jets, dtype)
        points = torch.randn(jets, 3, dtype=dtype)
        leaves = [tracks.requires_grad_(), points.requires_grad_()]
        cotangent = torch.ones_like(tracks)
        _, thread, _ = timed(lambda: torch.autograd.grad(extrapolate(*leaves), leaves, cotangent), repeat)  # noqa: B023
        each = thread / jets / TRACKS * 1e6
        print(f"extrapolation, both ways  {each:6.3f} us a track, {dtype} (claim 0.2: {verdict(0.2, each)})")


def two_cores(jets: int, repeat: int) -> None:
    """What two threads do in a second, and what they are worth in a whole step and in the kernels' calls alone, and
    what two programs are, which is all that the machine has to give.
    """
    for dtype, claim in CLAIMS.items():
        for many in (jets, 2 * jets, 4 * jets, 10 * jets):
            data = inputs(many, dtype)
            step, seconds = speed_up([both_ways(*data, threads=threads) for threads in (1, 2)], repeat)
            calls, _ = speed_up([kernel_calls(*data, threads) for threads in (1, 2)], repeat)
            programs, _ = speed_up([one_program(*data), two_programs(*data)], max(3, repeat // 3))
            name, rate, wanted = str(dtype).removeprefix("torch."), many / seconds, SPEED_UP * claim
            print(
                f"two threads, {name}, {many} jets: {rate / 1e6:.2f} M fits/s (claim {wanted / 1e6:.2f}: "
                f"{verdict(rate, wanted)}), {step:.2f} times one by the clock ({SPEED_UP}: {verdict(step, SPEED_UP)}); "
                f"the kernels' calls alone {calls:.2f}, two programs {programs:.2f}"
            )


def verdict(found: float, wanted: float) -> str:
    """Whether a claim holds, as the numbers are printed."""
    return "met" if found >= wanted else "NOT met"


def speed_up(works: list[Callable[[], object]], repeat: int) -> tuple[float, float]:
    """How many times faster the second is by the clock, and its seconds (medians); they take turns."""
    times: list[list[float]] = [[], []]
    for _ in range(repeat):
        for work, found in zip(works, times, strict=True):
            work()
            for _ in range(8):
                start = time.perf_counter()
                work()
                found.append(time.perf_counter() - start)
    one, two = map(statistics.median, times)
    return one / two, two


def one_program(tracks: Tensor, variances: Tensor, weights: Tensor) -> Callable[[], object]:
    """Four times the kernels' calls, in one thread."""
    calls = kernel_calls(tracks, variances, weights, 1)
    return lambda: [calls() for _ in range(4)]


def two_programs(tracks: Tensor, variances: Tensor, weights: Tensor) -> Callable[[], object]:
    """The same for each half of the jets in a thread of Python; neither knows of the other."""
    halves = zip(*(value.detach().chunk(2) for value in (tracks, variances, weights)), strict=True)
    works = [one_program(*half) for half in halves]
    pool = ThreadPoolExecutor(2)
    return lambda: list(pool.map(lambda work: work(), works))


def kernel_calls(tracks: Tensor, variances: Tensor, weights: Tensor, threads: int) -> Callable[[], object]:
    """What a step asks of the compiled kernels: the fit with its response, and the gradient of the weights."""
    optional = (None,) * 5
    problem = Problem(tracks, variances, weights.detach(), *optional, False, True, 1e-8, 20, threads)
    cotangent = torch.ones(len(tracks), 3, dtype=tracks.dtype)

    def calls() -> object:
        _, response = native.forward_and_response(problem)
        return native.weights_backward(cotangent, None, response, None, threads)

    return calls


if __name__ == "__main__":
    main()
