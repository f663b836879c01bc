WITH sold AS (
  SELECT DISTINCT l.product_id
  FROM silver_order_lines AS l
  JOIN silver_orders AS o ON o.order_id = l.order_id
  WHERE o.status <> 'cancelled' AND l.status <> 'cancelled'
)
SELECT p.product_id
FROM silver_products AS p
LEFT ANTI JOIN sold AS s ON s.product_id = p.product_id
-- A silver table from before the contract had a status has none until products are delivered anew.
WHERE coalesce(get_json_object(to_json(struct(p.*)), '$.status'), 'live') = 'live'
