"""What a python node's interpreter runs first: it makes ``args`` and runs the script as ``__main__``.

Runs under whatever Python 3 the installation names, without a package of ours: nothing is imported here but the
standard library, and nothing of this file is left in the script's names.
"""

import builtins
import os
import sys


def _start():  # type: ignore[no-untyped-def]  # annotations would be left in the script's names
    positional, script, arguments = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    args = {str(number): value for number, value in enumerate(arguments[:positional], 1)}
    args.update(argument.split("=", 1) for argument in arguments[positional:])
    sys.argv = [script, *arguments]
    sys.path[0] = os.path.dirname(script)  # noqa: PTH120  pathlib would be loaded for this alone
    for name in ("exit", "quit"):  # the module site makes them, which is left out for the sake of its packages
        if not hasattr(builtins, name):
            setattr(builtins, name, sys.exit)
    told = sys.excepthook

    def tell(kind, error, traceback):  # type: ignore[no-untyped-def]
        """A traceback begins with the script, not with the two frames of this file."""
        rest = traceback.tb_next.tb_next
        told(kind, error.with_traceback(rest), rest)

    sys.excepthook = tell
    with open(script, encoding="utf-8-sig") as file:  # noqa: PTH123
        code = file.read()
    names = sys.modules["__main__"].__dict__
    fresh = {"__name__": "__main__", "__file__": script, "__builtins__": builtins, "__spec__": None, "args": args}
    names.clear()  # what stands at the top of this file too: from here on there are local names only
    names.update(fresh)
    exec(compile(code, script, "exec", dont_inherit=True), names)  # noqa: S102  running it is what a python node is


_start()
