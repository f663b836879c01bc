WITH interest AS (
  SELECT
    user_id,
    product_id,
    bool_or(kind = 'view') AS viewed,
    bool_or(kind = 'like') AS liked,
    bool_or(kind = 'wish') AS wished
  FROM silver_interactions
  GROUP BY user_id, product_id
),
bought AS (
  SELECT
    o.buyer_id AS user_id,
    l.product_id,
    bool_or(o.status <> 'cancelled' AND l.status = 'sold') AS kept
  FROM silver_orders AS o
  JOIN silver_order_lines AS l ON l.order_id = o.order_id
  GROUP BY o.buyer_id, l.product_id
),
pairs AS (
  SELECT
    coalesce(p.category, '(unknown)') AS category,
    coalesce(i.viewed, false) AS viewed,
    coalesce(i.liked, false) AS liked,
    coalesce(i.wished, false) AS wished,
    i.user_id IS NOT NULL AS seen,
    b.user_id IS NOT NULL AS ordered,
    coalesce(b.kept, false) AS kept
  FROM interest AS i
  FULL JOIN bought AS b ON b.user_id = i.user_id AND b.product_id = i.product_id
  LEFT JOIN silver_products AS p ON p.product_id = coalesce(i.product_id, b.product_id)
)
SELECT
  category,
  count_if(viewed) AS viewed,
  count_if(liked) AS liked,
  count_if(wished) AS wished,
  count_if(ordered) AS ordered,
  count_if(kept) AS kept,
  count_if(ordered AND NOT seen) AS unseenorders,
  round(try_divide(100 * count_if(viewed AND liked), count_if(viewed)), 2) AS likerate,
  round(try_divide(100 * count_if(viewed AND wished), count_if(viewed)), 2) AS wishrate,
  round(try_divide(100 * count_if(viewed AND ordered), count_if(viewed)), 2) AS orderrate,
  round(try_divide(100 * count_if(kept), count_if(ordered)), 2) AS keeprate
FROM pairs
GROUP BY GROUPING SETS ((category), ())
HAVING count(*) > 0
ORDER BY category NULLS LAST
