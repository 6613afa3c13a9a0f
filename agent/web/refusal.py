"""Why a form is not done, in words of the page: whoever looks reads them in his language."""

from agent.core.errors import InputError


class Refusal(InputError):
    """key: of the page's words, `refused_` before it; places: what stands in them."""

    def __init__(self, key: str, **places: object) -> None:
        super().__init__(f"refused_{key}")
        self.key = f"refused_{key}"
        self.places = places
