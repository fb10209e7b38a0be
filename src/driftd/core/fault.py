"""What a person is told when their input is refused: the problem and the remedy, on one line, harmless to print."""

from __future__ import annotations


class UserError(Exception):
    """Something the person at the keyboard can put right. Printed without a traceback.

    `exit_code`: 2, wrong input or configuration; 1, the input was right and the world was not (a broker is down).
    """

    def __init__(self, problem: str, remedy: str = "", *, exit_code: int = 2) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        return printable(f"{self.problem}; {self.remedy}" if self.remedy else self.problem)


def printable(text: str) -> str:
    r"""The text on one line, with what could steer a terminal written as escapes: ESC becomes \x1b."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
