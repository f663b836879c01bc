SELECT
  state,
  count(*) AS parcels,
  count(DISTINCT order_id) AS orders,
  cast(sum(weight_grams) / 1000 AS DECIMAL(18, 3)) AS weight,
  max(updated_at) AS lastscan
FROM silver_parcels
GROUP BY state
ORDER BY parcels DESC, state
