"""Triton's interpreter, where `TRITON_INTERPRET=1` asks for it: kernels of a GPU, computed slowly on the CPU."""

from triton.runtime import interpreter


def mend_interpreter() -> None:
    """Triton 3.6's makes loop bounds by int() of an array of one element, which NumPy 2.4 refuses."""
    patch_tensor = interpreter._patch_lang_tensor

    def patch_tensor_for_numpy(tensor: type, scope: object) -> None:
        patch_tensor(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = patch_tensor_for_numpy
