WITH lines AS (
  SELECT
    p.seller_id,
    o.order_id,
    o.buyer_id,
    o.ordered_at,
    l.quantity,
    CAST(l.amount AS DECIMAL(18, 2)) AS amount,
    o.status = 'cancelled' OR l.status = 'cancelled' AS is_cancelled,
    o.status <> 'cancelled' AND l.status = 'returned' AS is_returned
  FROM silver_order_lines AS l
  JOIN silver_orders AS o ON o.order_id = l.order_id
  JOIN silver_products AS p ON p.product_id = l.product_id
),
sellers AS (
  SELECT
    seller_id,
    count(DISTINCT order_id) AS orders,
    count(DISTINCT buyer_id) AS buyers,
    sum(quantity) AS pieces,
    CAST(sum(amount) AS DECIMAL(18, 2)) AS gross_amount,
    CAST(
      coalesce(sum(amount) FILTER (WHERE NOT is_cancelled AND NOT is_returned), 0)
      AS DECIMAL(18, 2)
    ) AS net_amount,
    coalesce(sum(quantity) FILTER (WHERE NOT is_cancelled AND NOT is_returned), 0) AS net_pieces,
    coalesce(sum(quantity) FILTER (WHERE is_cancelled), 0) AS cancelled_pieces,
    coalesce(sum(quantity) FILTER (WHERE is_returned), 0) AS returned_pieces,
    CAST(min(ordered_at) AS DATE) AS first_sale,
    CAST(max(ordered_at) AS DATE) AS last_sale
  FROM lines
  GROUP BY seller_id
)
SELECT
  rank() OVER (ORDER BY s.net_amount DESC, s.net_pieces DESC) AS place,
  s.seller_id,
  coalesce(u.country, '(unknown)') AS country,
  s.orders,
  s.buyers,
  s.pieces,
  s.net_pieces,
  s.cancelled_pieces,
  s.returned_pieces,
  s.gross_amount,
  s.net_amount,
  round(try_divide(100 * s.returned_pieces, s.pieces - s.cancelled_pieces), 1) AS returnrate,
  s.first_sale,
  s.last_sale
FROM sellers AS s
LEFT JOIN silver_users AS u ON u.identifierHash = s.seller_id
ORDER BY place, seller_id
