-- Sales by day, category and country.
-- Grain: one row per day on which orders were placed (UTC), category of the product, and country
-- that the order goes to; by day, category, country.
-- Population: lines of orders that are known. A line whose product is not known (yet) counts under
-- the category (unknown); a line whose order is not known is left out until it is.
-- gross: all that was ordered. cancelled, returned: what of it came to nothing. net: what is left.
-- orders counts an order once in each row that it has lines in. Amounts are in EUR, exact.
-- Built from: orders, order_lines, products
-- Refresh: by day, which is CAST(ordered_at AS DATE) of orders; the days that changed rows reach
-- are those of sales_by_day.touched.sql
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
