"""Results as files: JSON, CSV and Markdown; the page for people is `report.html`.

The page is not loaded from here, so that a table needs no image library.
"""

from vae_jax.report.tables import (
    Row,
    format_table,
    write_csv,
    write_json,
    write_text,
)

__all__ = ["Row", "format_table", "write_csv", "write_json", "write_text"]
