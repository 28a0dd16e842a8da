"""A page as a reader of HTML sees it: elements with their attributes, texts, tables."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "br", "img", "link", "input", "hr", "image", "path", "use", "rect"}


@dataclass
class Element:
    """One element of a page and what is in it, in order."""

    name: str
    attributes: dict[str, str]
    children: "list[Element | str]" = field(default_factory=list)

    def all(self, *names: str) -> "Iterator[Element]":
        """Every element inside of these names; of any name where none is given."""
        for child in self.children:
            if isinstance(child, Element):
                if not names or child.name in names:
                    yield child
                yield from child.all(*names)

    @property
    def text(self) -> str:
        """All text inside, spaces as one."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(parts).split())


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag in _VOID:
            return
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)


def read_page(content: bytes | str) -> Element:
    """The page; an element that is closed wrongly or never is an error."""
    reader = _Reader()
    reader.feed(content if isinstance(content, str) else content.decode())
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].name}> is never closed"
    return reader.open[0]


def table_of(page: Element, caption: str) -> list[list[str]]:
    """The cells of the table whose caption begins so, heads first."""
    found = [one for one in page.all("table") if next(one.all("caption")).text.startswith(caption)]
    assert len(found) == 1, (caption, len(found))
    return [[cell.text for cell in row.all("th", "td")] for row in found[0].all("tr")]


def section_of(page: Element, name: str) -> Element:
    """The section with this id."""
    return next(one for one in page.all("section") if one.attributes.get("id") == name)
