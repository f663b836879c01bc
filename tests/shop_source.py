"""Source files of a shop's database, and contracts of its orders, as text."""

from __future__ import annotations

CONNECTION = """\
apiVersion: landfall/v1
kind: Source
name: shop
connector: postgresql
connection:
  server: db.example
  database: shop
  username: reader
  auth: {kind: password, secret: shop-password}
"""
ORDERS = """\
  - name: orders
    dataset: orders
    table: public.orders
    mode: incremental
    watermark: {column: updated_at, type: timestamptz}
"""
WHOLE_ORDERS = """\
  - name: orders
    dataset: orders
    table: public.orders
    mode: full
"""
ID = "      - {name: id, logicalType: integer, primaryKey: true, required: true}\n"


def shop(*objects: str, schedule: str = "") -> str:
    """The source file with these objects, each a text of YAML."""
    return f"{CONNECTION}{schedule}objects:\n{''.join(objects)}"


def orders_contract(*properties: str, custom: str = "") -> str:
    """The contract of orders: an id, and these properties."""
    return f"""\
apiVersion: v3.2.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
{ID}{"".join(properties)}{custom}"""
