"""The service's description as a page without scripts, which a browser shows in a network without the Internet."""

from html import escape
from typing import Any

_STYLE = "body{font:16px sans-serif;max-width:60em;margin:2em auto}td,th{text-align:left;padding:0 1em 0 0}"


def page_of(description: dict[str, Any]) -> str:
    """An OpenAPI description as HTML: every path with what it does, and every schema with its fields."""
    about, schemas = description["info"], description["components"]["schemas"]
    parts = [f"<h1>{escape(about['title'])}</h1><p>{escape(about['description'])}</p>"]
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(operation['description'])}</p>")
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            told = operation["responses"]["200"]["content"].get("application/json", {})
            parts += [f"<p>Send: {_type(body['schema'])}</p>"] if body else []
            parts += [f"<p>Answer: {_type(told['schema'])}</p>"] if told else []
    for name, schema in schemas.items():
        rows = (
            f"<tr><td>{escape(field)}</td><td>{_type(about)}</td><td>{escape(about.get('description', ''))}</td></tr>"
            for field, about in schema.get("properties", {}).items()
        )
        parts.append(
            f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(schema.get('description', ''))}</p>"
            f"<table>{''.join(rows)}</table>"
        )
    title = f"<title>{escape(about['title'])}</title>"
    return f"<!doctype html><html lang='en'><meta charset='utf-8'>{title}<style>{_STYLE}</style>{''.join(parts)}</html>"


def _type(schema: dict[str, Any]) -> str:
    """The type of a value in words, with a link where it is a schema of its own."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    return escape(schema.get("format", schema.get("type", "any")))
