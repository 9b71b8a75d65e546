"""Pickles of arrays, tensors, numbers, text, lists and dicts: read without executing anything, written without numpy's own names.

The opcodes are those of protocol 3 (Python's pickletools describes them), which has no frames, so that a list can be
written while its elements are still coming.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile

import numpy as np

from mma82cli.records import DataError

PROTOCOL = pickle.PROTO + b"\x03"
MARK, STOP = pickle.MARK, pickle.STOP
EMPTY_DICT, EMPTY_LIST, SETITEMS = pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.SETITEMS
KINDS = "biufSU"  # booleans, numbers, text: no objects, no records
LARGEST = 1 << 31
STORAGES = {
    "Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": "bfloat16",
    "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "<i1", "Byte": "<u1", "Bool": "?",
}  # fmt: skip


class _Type:
    """Stands for a numpy.dtype: numbers and text alone. Of its state only the byte order is taken."""

    def __init__(self, code, align=False, copy=True):
        if not isinstance(code, str) or np.dtype(code).kind not in KINDS:
            raise pickle.UnpicklingError(f"an array of {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state):
        order = state[1]
        self.dtype = self.dtype.newbyteorder(order if order in ("<", ">") else "=")


class _Array:
    """Stands for a numpy.ndarray: of its state the shape, the type and the bytes are taken."""

    value = None

    def __setstate__(self, state):
        _, shape, kind, fortran, data = state
        if isinstance(data, str):  # as Python 2 wrote it
            data = data.encode("latin1")
        self.value = _from_buffer(data, kind, shape, "F" if fortran else "C")


def _reconstruct(kind, shape, code):
    """An array, whose state follows."""
    if kind is not _Array:
        raise pickle.UnpicklingError("an array that is not a plain one")
    return _Array()


def _from_buffer(buffer, kind, shape, order):
    found = np.frombuffer(buffer, kind.dtype).reshape(shape, order=order)
    return found.astype(found.dtype.newbyteorder("="))


def _scalar(kind, data):
    if isinstance(data, str):
        data = data.encode("latin1")
    return np.frombuffer(data, kind.dtype, 1)[0]


def _arrays(value):
    """The value with arrays in place of what stood for them."""
    if isinstance(value, _Array):
        if value.value is None:
            raise pickle.UnpicklingError("an array without contents")
        return value.value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_arrays, value))
    return {_arrays(k): _arrays(v) for k, v in value.items()} if isinstance(value, dict) else value


def _encode(words, encoding):
    """How bytes were written before protocol 3."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the encoding {encoding!r}")
    return words.encode("latin1")


class _Numbers:
    """Stands for the class of a tensor's storage."""

    def __init__(self, code: str):
        self.code = code

    def read(self, data: bytes) -> np.ndarray:
        """The numbers (N,); those of bfloat16, which numpy has not, as float32."""
        if self.code == "bfloat16":
            return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        return np.frombuffer(data, self.code)


def _storage(data):
    """The numbers (N,) that torch pickles as bytes inside a pickle: three pickles on how they were written, one that names
    their class, one that lists them, 8 bytes that count them, and they themselves."""
    file = io.BytesIO(data)
    for _ in range(3):
        _Unpickler(file).load()
    numbers = _Unpickler(file, storage=lambda numbers, key: numbers).load()
    _Unpickler(file).load()
    return numbers.read(file.read()[8:])


def _tensor(storage, offset, shape, strides, *_):
    """An array of what a storage holds; numpy sees to it that it lies inside."""
    size = storage.itemsize
    return np.ndarray(shape, storage.dtype, storage, offset * size, [step * size for step in strides])


KNOWN = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    **{("torch", f"{name}Storage"): _Numbers(code) for name, code in STORAGES.items()},
}


class _Unpickler(pickle.Unpickler):
    """`storage` makes of a class and a key what a pickle of tensors keeps outside itself."""

    def __init__(self, file, storage=None):
        super().__init__(file, encoding="latin1")
        self.storage = storage

    def persistent_load(self, pid):
        if self.storage is None:
            raise pickle.UnpicklingError("something that is not in the file")
        return self.storage(pid[1], pid[2])

    def find_class(self, module, name):
        found = KNOWN.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found


def load(file, what: str):
    """The value of a pickle, or of what torch.save wrote, with arrays in place of tensors. Raises DataError where it is none,
    or asks for more than data."""
    data = file.read()
    try:
        if not data.startswith(b"PK"):
            return _arrays(_Unpickler(io.BytesIO(data)).load())
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            folder = pickled.removesuffix(".pkl")
            outside = lambda numbers, key: numbers.read(archive.read(f"{folder}/{key}"))  # noqa: E731
            return _arrays(_Unpickler(io.BytesIO(archive.read(pickled)), outside).load())
    except pickle.UnpicklingError as error:
        reason = str(error)
        if "." in reason.split(" ")[0] or reason.startswith(("an array", "the encoding")):
            reason = f"the pickle asks for {reason}, which is not run; expected arrays, numbers, text, lists and dicts alone"
            raise DataError(reason) from None
        raise DataError(f"not a pickle, or a damaged one ({reason}); expected {what}") from None
    except Exception as error:
        raise DataError(f"not a pickle, or a damaged one ({type(error).__name__}: {error}); expected {what}") from None


# -- writing -----------------------------------------------------------------------------------------------


def dumps(value) -> bytes:
    """The opcodes that put a value on the stack."""
    if isinstance(value, str):
        data = value.encode()
        return pickle.BINUNICODE + struct.pack("<I", len(data)) + data
    if isinstance(value, bool):
        return pickle.NEWTRUE if value else pickle.NEWFALSE
    if isinstance(value, int):
        if not -LARGEST <= value < LARGEST:
            raise DataError(f"the number {value} is too large; expected one of 32 bits")
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, tuple):
        return MARK + b"".join(map(dumps, value)) + pickle.TUPLE
    if isinstance(value, list):
        return EMPTY_LIST + MARK + b"".join(map(dumps, value)) + pickle.APPENDS
    if isinstance(value, dict):
        return EMPTY_DICT + MARK + b"".join(dumps(v) for pair in value.items() for v in pair) + SETITEMS
    return _array(value)


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _bytes(data: bytes) -> bytes:
    if len(data) >= 1 << 32:
        raise DataError(f"an array of {len(data)} bytes is too large; expected less than 4 GiB")
    return pickle.BINBYTES + struct.pack("<I", len(data)) + data


def _array(array: np.ndarray) -> bytes:
    """numpy.core.multiarray._reconstruct(ndarray, (0,), b"b"), then its state: (1, shape, dtype, False, bytes). That name
    is known to numpy 1 and 2 alike."""
    kind = array.dtype.newbyteorder("<")
    made = _global("numpy.core.multiarray", "_reconstruct") + _global("numpy", "ndarray") + dumps((0,)) + _bytes(b"b")
    nothing = pickle.NONE * 3 + dumps(-1) + dumps(-1) + dumps(0)
    dtype = _global("numpy", "dtype") + dumps((kind.str[1:], False, True)) + pickle.REDUCE
    dtype += MARK + dumps(3) + dumps("<") + nothing + pickle.TUPLE + pickle.BUILD
    data = _bytes(array.astype(kind, copy=False).tobytes())
    state = MARK + dumps(1) + dumps(array.shape) + dtype + dumps(False) + data + pickle.TUPLE
    return made + pickle.TUPLE3 + pickle.REDUCE + state + pickle.BUILD
