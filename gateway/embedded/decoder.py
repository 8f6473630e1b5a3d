"""The forward pass: fills the cache from one prompt at a time, then decodes one token of all rows at a time.

It runs on ONNX Runtime with one thread. Compared with the same decoder written in NumPy (tokens per second of CPU time
at a context of 40 to 190 tokens, AVX-512; milliseconds per prompt):

    rows              1       2       4       8      16      32     prompt of 100   of 250
    NumPy         1 537   2 559   4 034   5 694   7 478   8 570            5.4 ms   15.7 ms
    ONNX Runtime  4 021   5 941   8 355   9 628  10 231  10 924            3.8 ms   11.0 ms

Its attention kernel supports rows of different lengths and updates the cache in place, and a step is one call that
releases the interpreter lock. It costs 80 MB of disk, 0.1 s of start-up, and 35 ms per model.

Rows are dense (0 … n-1), so that every step works on plain slices of the cache; when a row leaves, the last row takes
its place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from gateway.embedded.graph import cache_names
from gateway.embedded.model import Array, ModelConfig

Ids = npt.NDArray[np.int64]
FIRST_CAPACITY = 256  # tokens per row that the cache starts with; it doubles when a row needs more
ERRORS_ONLY = 3


class Decoder:
    """Not thread-safe. Prompts are read into the staging row before they join the batch."""

    def __init__(self, config: ModelConfig, model: bytes, max_rows: int) -> None:
        """`model` is a serialised decoder as graph.decoder_model makes it."""
        self._config, self._session = config, _session(model)
        self.max_rows, self.rows = max_rows, 0
        self._staging = max_rows
        self._capacity = min(FIRST_CAPACITY, config.max_position_embeddings)
        self._cache = self._new_cache()
        self._steps: dict[int, _Call] = {}

    def prefill(self, ids: Ids, start: int) -> Array:
        """Read `ids` (tokens,) at positions from `start` on into the staging row; logits (vocab,) after the last."""
        end = start + len(ids)
        self._reserve(end)
        call = _Call(self._session, self._cache, self._staging, 1, len(ids), self._config.vocab_size)
        logits: Array = call(ids[None], np.array([end - 1], np.int32))[0]
        return logits

    def admit(self, length: int) -> int:
        """Copy the first `length` tokens of the staging row into a new row; returns the row."""
        row = self.rows
        self._copy(self._staging, row, length)
        self.rows += 1
        return row

    def leave(self, row: int, length_of_last: int) -> None:
        """Release `row`; the last row, which holds `length_of_last` tokens, takes its place."""
        self.rows -= 1
        if row != self.rows:
            self._copy(self.rows, row, length_of_last)

    def step(self, ids: Ids, positions: Ids) -> Array:
        """Append one token to every row; `ids` and `positions` (rows,). Logits (rows, vocab), valid until the next."""
        rows = len(ids)
        self._reserve(int(positions.max()) + 1)
        if rows not in self._steps:
            self._steps[rows] = _Call(self._session, self._cache, 0, rows, 1, self._config.vocab_size)
        return self._steps[rows](ids[:, None], positions.astype(np.int32))

    def _copy(self, source: int, target: int, length: int) -> None:
        for layer in self._cache:
            layer[target, :, :length] = layer[source, :, :length]

    def _reserve(self, tokens: int) -> None:
        """Grow every row to at least `tokens`."""
        if tokens <= self._capacity:
            return
        old, capacity = self._cache, self._capacity
        while self._capacity < tokens:
            self._capacity = min(2 * self._capacity, self._config.max_position_embeddings)
        self._cache = self._new_cache()
        for new, layer in zip(self._cache, old, strict=True):
            new[:, :, :capacity] = layer
        self._steps.clear()

    def _new_cache(self) -> list[Array]:
        """Keys and values of every layer, each (rows + staging, kv_heads, capacity, dim)."""
        config = self._config
        shape = (self.max_rows + 1, config.num_key_value_heads, self._capacity, config.head_dim)
        return [np.zeros(shape, np.float32) for _ in range(2 * config.num_hidden_layers)]


class _Call:
    """The session bound to fixed memory, so that a step copies nothing; for one number of rows and of new tokens."""

    def __init__(
        self, session: onnxruntime.InferenceSession, cache: list[Array], first: int, rows: int, new: int, vocab: int
    ) -> None:
        self._session, self._binding = session, session.io_binding()
        self._ids, self._last = np.zeros((rows, new), np.int64), np.zeros(rows, np.int32)
        self._total, self._logits = np.zeros((), np.int32), np.zeros((rows, 1, vocab), np.float32)
        self._values: list[onnxruntime.OrtValue] = []  # kept alive, as the binding only points to them
        for name, array in (("ids", self._ids), ("last", self._last), ("total", self._total)):
            self._binding.bind_ortvalue_input(name, self._shared(array))
        self._binding.bind_ortvalue_output("logits", self._shared(self._logits))
        names = [name for index in range(len(cache) // 2) for name in cache_names(index)]
        for name, layer in zip(names, cache, strict=True):
            memory = self._shared(layer[first : first + rows])
            self._binding.bind_ortvalue_input(name, memory)
            self._binding.bind_ortvalue_output(f"new_{name}", memory)

    def __call__(self, ids: Ids, last: npt.NDArray[np.int32]) -> Array:
        """Logits (rows, vocab); the next call overwrites them."""
        self._ids[:], self._last[:], self._total[...] = ids, last, last.max() + 1
        self._session.run_with_iobinding(self._binding)
        return self._logits[:, 0]

    def _shared(self, array: npt.NDArray[np.generic]) -> onnxruntime.OrtValue:
        """`array` as the runtime's type, without a copy."""
        self._values.append(onnxruntime.OrtValue.ortvalue_from_numpy(array))
        return self._values[-1]


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # made for shapes that do not change
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
