-- The days of sales_by_day that changed rows reach.
-- changed_<dataset> holds the rows of silver that were inserted, updated or deleted since the last
-- build, as they were before and as they are now: an order that moved from one day to another
-- reaches both.
SELECT DISTINCT CAST(ordered_at AS DATE) AS day
FROM changed_orders
UNION
SELECT DISTINCT CAST(o.ordered_at AS DATE) AS day
FROM changed_order_lines AS c
JOIN silver_orders AS o ON o.order_id = c.order_id
UNION
-- A product matters only where its category has changed, or it was not known before.
SELECT DISTINCT CAST(o.ordered_at AS DATE) AS day
FROM (
  SELECT product_id
  FROM changed_products
  GROUP BY product_id
  HAVING count(DISTINCT category) > 1 OR NOT bool_or(_change_type = 'update_postimage')
) AS c
JOIN silver_order_lines AS l ON l.product_id = c.product_id
JOIN silver_orders AS o ON o.order_id = l.order_id
