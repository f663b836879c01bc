WITH lines AS (
  SELECT
    CAST(o.ordered_at AS DATE) AS day,
    coalesce(p.category, '(unknown)') AS category,
    o.country_code AS country,
    l.order_id,
    l.quantity,
    CAST(l.amount AS DECIMAL(18, 2)) AS amount,
    o.status = 'cancelled' OR l.status = 'cancelled' AS is_cancelled,
    o.status <> 'cancelled' AND l.status = 'returned' AS is_returned
  FROM silver_orders AS o
  JOIN silver_order_lines AS l ON l.order_id = o.order_id
  LEFT JOIN silver_products AS p ON p.product_id = l.product_id
)
SELECT
  day,
  category,
  country,
  count(DISTINCT order_id) AS orders,
  count(*) AS order_lines,
  sum(quantity) AS pieces,
  CAST(sum(amount) AS DECIMAL(18, 2)) AS gross_amount,
  CAST(coalesce(sum(amount) FILTER (WHERE is_cancelled), 0) AS DECIMAL(18, 2)) AS cancelled_amount,
  CAST(coalesce(sum(amount) FILTER (WHERE is_returned), 0) AS DECIMAL(18, 2)) AS returned_amount,
  CAST(
    coalesce(sum(amount) FILTER (WHERE NOT is_cancelled AND NOT is_returned), 0) AS DECIMAL(18, 2)
  ) AS net_amount,
  coalesce(sum(quantity) FILTER (WHERE NOT is_cancelled AND NOT is_returned), 0) AS net_pieces
FROM lines
GROUP BY day, category, country
ORDER BY day, category, country
