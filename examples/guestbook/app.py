"""A guestbook: people write entries, everybody reads them."""

from __future__ import annotations

import os
from contextlib import closing
from typing import Any

import psycopg2
from flask import Flask, Response, jsonify, redirect, render_template_string, request
from psycopg2.extras import RealDictCursor

PAGE = """<!doctype html>
<title>{{ title }}</title>
<h1>{{ title }}</h1>
<p>{{ greeting }}</p>
<form method="post" action="/entries">
  <input name="author" placeholder="Name" required>
  <input name="message" placeholder="Message" required>
  <button>Write</button>
</form>
<ul>
{% for entry in entries %}
  <li><b>{{ entry.author }}</b>: {{ entry.message }} <small>{{ entry.written }}</small></li>
{% endfor %}
</ul>
"""

app = Flask(__name__)


def query(sql: str, values: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    """Run one statement in a transaction of its own; returns its rows."""
    connection = psycopg2.connect(
        host=os.environ["DATABASE_HOST"],
        dbname=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USER"],
        password=os.environ["POSTGRES_PASSWORD"],
        connect_timeout=3,
    )
    with closing(connection), connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(sql, values)
        return [dict(row) for row in cursor.fetchall()]


def entries() -> list[dict[str, Any]]:
    return query("SELECT id, author, message, written::text FROM entry ORDER BY id")


@app.get("/")
def page() -> str:
    title, greeting = os.environ.get("APP_TITLE", "Guestbook"), os.environ.get("GUESTBOOK_GREETING", "")
    return render_template_string(PAGE, title=title, greeting=greeting, entries=entries())


@app.get("/entries")
def read() -> Response:
    return jsonify(entries())


@app.post("/entries")
def write() -> Any:
    """Add an entry; answers JSON to JSON, and sends a browser's form back to the page."""
    given = request.get_json(silent=True) or request.form
    author, message = str(given.get("author", "")).strip(), str(given.get("message", "")).strip()
    if not author or not message:
        return jsonify(error="author and message are required"), 400
    written = query(
        "INSERT INTO entry (author, message) VALUES (%s, %s) RETURNING id, author, message, written::text",
        (author, message),
    )
    return (jsonify(written[0]), 201) if request.is_json else redirect("/", code=303)


@app.get("/healthz")
def healthz() -> tuple[str, int]:
    """Answer 200 only where the database answers too."""
    try:
        query("SELECT 1")
    except psycopg2.Error as error:
        return f"database: {error}", 503
    return "ok", 200


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=8000)
