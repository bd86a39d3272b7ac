"""sanitize and gather on tensors: every device gives what the definition says.

Where there is no CUDA device its tests are skipped; what a thread of it does runs in native/check_gather.cpp.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from engine_kernels import backends
from engine_kernels.gather.api import Gather
from engine_kernels.gather.device import DeviceGather
from engine_kernels.sanitize.reference import Sanitize
from engine_kernels.sanitize.tensors import TensorSanitizer
from engine_kernels.sanitize.transforms import FeatureTransform, apply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch._subclasses.fake_tensor import FakeTensorMode

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TRANSFORMS = [
    FeatureTransform(low=-3.0, high=3.0, scale=0.5, offset=1.0),
    FeatureTransform(one_hot=(0.0, 1.0, 4.0)),
    FeatureTransform(absolute=True, fill=-1.0),
    FeatureTransform(absolute=True, log1p=True, high=9.0, scale=2.0),
]
DIRECT = [transform for transform in TRANSFORMS if transform.one_hot is None]
STORED = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


def same(found: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=1e-6, atol=1e-30)


@pytest.mark.usefixtures("kernels_of_device")
@SETTINGS
@given(data=st.data())
def test_any_stored_value_gives_what_the_definition_says(device: torch.device, data: st.DataObject) -> None:
    values = data.draw(hnp.arrays(data.draw(st.sampled_from(STORED)), (data.draw(st.integers(0, 40)), len(TRANSFORMS))))
    found = TensorSanitizer(TRANSFORMS)(torch.from_numpy(values).to(device))
    assert found.device.type == device.type
    assert torch.isfinite(found).all()
    same(found, apply(values, TRANSFORMS))


@pytest.mark.usefixtures("kernels_of_device")
def test_in_place_is_the_same_in_the_same_memory(device: torch.device) -> None:
    values = np.random.default_rng(1).normal(size=(7, 5, len(DIRECT))).astype(np.float32)
    values[0, 0] = np.nan, np.inf, -np.inf
    given_tensor = torch.from_numpy(values.copy()).to(device)
    sanitizer = TensorSanitizer(DIRECT)
    found = sanitizer.in_place(given_tensor)
    assert found.data_ptr() == given_tensor.data_ptr()
    same(found.reshape(-1, len(DIRECT)), apply(values.reshape(-1, len(DIRECT)), DIRECT))
    with pytest.raises(ValueError, match="cannot be done in place"):
        TensorSanitizer(TRANSFORMS).in_place(torch.zeros(2, len(TRANSFORMS), device=device))
    with pytest.raises(ValueError, match="contiguous float32"):
        sanitizer.in_place(torch.zeros(len(DIRECT), 2, device=device).mT)
    with pytest.raises(ValueError, match="transforms need"):
        sanitizer(torch.zeros(2, 2, device=device))


@pytest.mark.usefixtures("kernels_of_device")
def test_gradients_are_those_of_the_exported_module(device: torch.device) -> None:
    values = torch.tensor([[-9.0, 1.0, -2.0, -0.5], [0.5, 7.0, 3.0, 4.0], [np.nan, np.inf, np.nan, 1e9]], device=device)
    one, other = values.clone().requires_grad_(), values.clone().requires_grad_()
    cotangent = torch.arange(18.0, device=device).reshape(3, 6)
    (found,) = torch.autograd.grad(TensorSanitizer(TRANSFORMS)(one), one, cotangent)
    (expected,) = torch.autograd.grad(Sanitize(TRANSFORMS).to(device)(other), other, cotangent)
    assert torch.allclose(found, torch.nan_to_num(expected), rtol=1e-6)


def test_the_operators_are_registered_completely(device: torch.device) -> None:
    values = torch.randn(6, len(DIRECT), device=device)
    columns = TensorSanitizer(DIRECT).packed(values.device)
    torch.library.opcheck(torch.ops.engine_kernels.sanitize.default, (values.clone().requires_grad_(), *columns))
    torch.library.opcheck(torch.ops.engine_kernels.sanitize_.default, (values.clone(), *columns))


def test_mixed_precision_does_not_touch_the_transforms(device: torch.device) -> None:
    values = torch.full((2, len(DIRECT)), 2.5, device=device)
    sanitizer = TensorSanitizer(DIRECT)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        found = sanitizer(values.bfloat16())
    assert found.dtype == torch.float32
    assert torch.equal(found, sanitizer(values))


@st.composite
def resident(
    draw: st.DrawFn, jagged: bool
) -> tuple[list[tuple[np.ndarray | None, np.ndarray]], np.ndarray, np.ndarray]:
    dtype = draw(st.sampled_from(["float16", "float32", "int32"]))
    segments: list[tuple[np.ndarray | None, np.ndarray]] = []
    names = []
    for index in range(draw(st.integers(1, 3))):
        counts = draw(st.lists(st.integers(0, 9), max_size=6))
        offsets = np.concatenate(([0], np.cumsum(np.array(counts, dtype=np.int64)))).astype(np.int64)
        values = draw(hnp.arrays(dtype, (int(offsets[-1]), len(TRANSFORMS))))
        segments.append((offsets if jagged else None, values))
        names += [(index, row) for row in range(len(counts) if jagged else len(values))]
    chosen = draw(st.lists(st.sampled_from(names), max_size=40)) if names else []
    pairs = np.array(chosen, dtype=np.int64).reshape(-1, 2)
    return segments, pairs[:, 0].astype(np.int32), pairs[:, 1].copy()


@pytest.mark.usefixtures("kernels_of_device")
@pytest.mark.parametrize("jagged", [False, True], ids=["rows", "objects"])
@SETTINGS
@given(data=st.data(), keep=st.integers(1, 12))
def test_resident_rows_are_gathered_as_the_definition_says(
    device: torch.device, jagged: bool, data: st.DataObject, keep: int
) -> None:
    segments, segment, row = data.draw(resident(jagged))
    kept = keep if jagged else None
    expected, expected_mask = Gather(segments, TRANSFORMS, kept, "reference")(segment, row)
    gather = DeviceGather(segments, TRANSFORMS, kept, device)
    out, mask = gather(torch.from_numpy(segment).to(device), torch.from_numpy(row).to(device))
    same(out, expected)
    assert (mask is None) == (expected_mask is None)
    if mask is not None:
        np.testing.assert_array_equal(mask.cpu().numpy(), expected_mask)


@pytest.mark.usefixtures("kernels_of_device")
@pytest.mark.parametrize(
    ("segment", "row", "message"),
    [(1, 0, "no segment 1"), (-1, 0, "no segment -1"), (0, 3, "no row 3"), (0, -1, "no row -1"), (0, 2**62, "no row")],
)
def test_a_row_that_does_not_exist_is_refused_and_never_read(
    device: torch.device, segment: int, row: int, message: str
) -> None:
    offsets, values = np.array([0, 0, 1, 4]), np.ones((4, 1), np.float32)
    index = torch.tensor([0, segment], dtype=torch.int32, device=device), torch.tensor([2, row], device=device)
    for gather in (
        DeviceGather([(offsets, values)], [FeatureTransform()], 2, device),
        DeviceGather([(None, values[:3])], [FeatureTransform()], None, device),
    ):
        with pytest.raises(ValueError, match=message):
            gather(*index)
        out, mask = gather(*index, check=False)
        assert (out[0] == 1).all()
        assert (out[1] == 0).all()
        assert mask is None or (mask[0].all() and not mask[1].any())


@pytest.mark.usefixtures("kernels_of_device")
@pytest.mark.parametrize("offsets", [[0, 5], [-1, 2], [3, 1]])
def test_damaged_offsets_are_refused(device: torch.device, offsets: list[int]) -> None:
    gather = DeviceGather([(np.array(offsets), np.zeros((4, 1), np.float32))], [FeatureTransform()], 2, device)
    with pytest.raises(ValueError, match="offsets of row 0"):
        gather(torch.zeros(1, dtype=torch.int32, device=device), torch.zeros(1, dtype=torch.int64, device=device))


def test_arguments_that_do_not_fit_are_refused(device: torch.device) -> None:
    values = np.zeros((4, 2), np.float32)
    one, two = [FeatureTransform()], [FeatureTransform()] * 2
    with pytest.raises(ValueError, match="1 transforms"):
        DeviceGather([(None, values)], one, None, device)
    with pytest.raises(ValueError, match="need keep"):
        DeviceGather([(np.array([0, 4]), values)], two, None, device)
    with pytest.raises(ValueError, match="same type"):
        DeviceGather([(None, values), (None, values.astype(np.float16))], two, None, device)
    with pytest.raises(ValueError, match="complex64"):
        DeviceGather([(None, values.astype(np.complex64))], two, None, device)
    with pytest.raises(ValueError, match="int32"):
        DeviceGather([(None, values)], two, None, device)(*(torch.zeros(2, dtype=torch.int64, device=device),) * 2)


def test_memory_that_another_stream_reads_is_not_given_away_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, str]] = []
    monkeypatch.setenv(backends.VARIABLE, "reference")
    monkeypatch.setattr(DeviceGather, "_by_torch", lambda self, *_: self._sanitizer.packed(self.device) and None)
    monkeypatch.setattr(torch.Tensor, "data_ptr", lambda _: 0)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: told.append((id(tensor), stream)))
    current = ["of the copies"]
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: current[0])
    offsets, values = np.array([0, 1, 4]), np.ones((4, 1), np.float32)
    with FakeTensorMode():  # tensors of a device that need not be there
        gather = DeviceGather([(offsets, values), (offsets, values)], [FeatureTransform()], 2, "cuda:0")
        index = torch.zeros(1, dtype=torch.int32, device="cuda:0"), torch.zeros(1, dtype=torch.int64, device="cuda:0")
        for current[0] in ("of the copies", "beside", "beside", "of the copies"):
            gather(*index, check=False)
    segments, columns = (part for piece in gather.segments for part in piece), gather._sanitizer.packed(gather.device)
    kept = [*segments, *columns, gather._table]
    assert set(told) == {(id(tensor), stream) for stream in ("of the copies", "beside") for tensor in kept}
    assert len(set(told)) == len(told)


def test_the_processor_knows_no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in ((torch.Tensor, "record_stream"), (torch.cuda, "current_stream")):
        monkeypatch.setattr(place, name, lambda *_: pytest.fail("a tensor of the processor has no stream"))
    gather = DeviceGather([(None, np.ones((4, 1), np.float32))], [FeatureTransform()], None, "cpu")
    assert gather(torch.zeros(2, dtype=torch.int32), torch.arange(2))[0].tolist() == [[1.0], [1.0]]


def test_the_choice_for_a_cuda_device_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class Built:
        cuda_archs = "sm_80, sm_90"
        sanitize_cuda = gather_cuda = None

        @staticmethod
        def device_count() -> tuple[int, str]:
            return 1, ""

    class Alone(Built):
        @staticmethod
        def device_count() -> tuple[int, str]:
            return 0, "no driver"

    monkeypatch.delenv(backends.VARIABLE, raising=False)
    monkeypatch.setattr(backends, "native", lambda: (Alone, "built"))
    assert str(backends.choose_cuda("gather")) == "reference: built for sm_80, sm_90 and PTX, but no driver"
    assert backends.cuda() == "built for sm_80, sm_90 and PTX; 0 devices (no driver)"
    monkeypatch.setattr(backends, "native", lambda: (Built, "built"))
    assert str(backends.choose_cuda("gather")) == "cuda: built for sm_80, sm_90 and PTX"
    assert backends.choose_cuda("vertex_fit").implementation == "reference"
    assert backends.cuda() == "built for sm_80, sm_90 and PTX; 1 device"
    monkeypatch.setenv(backends.VARIABLE, "reference")
    assert str(backends.choose_cuda("gather")) == "reference: ENGINE_KERNELS is set"
    assert "not used" in backends.cuda()
    monkeypatch.setattr(backends, "native", lambda: (None, "no compiled module"))
    monkeypatch.delenv(backends.VARIABLE)
    assert str(backends.choose_cuda("gather")) == "reference: no compiled module"
    assert "operations of torch" in backends.cuda()
