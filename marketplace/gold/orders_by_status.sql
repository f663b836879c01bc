SELECT
  status,
  count(*) AS orders,
  sum(cast(amount AS DECIMAL(18, 2))) AS amount,
  max(ordered_at) AS lastordered
FROM silver_orders
GROUP BY status
ORDER BY orders DESC, status
