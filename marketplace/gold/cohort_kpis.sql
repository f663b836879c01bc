WITH people AS (
  SELECT
    seniority AS days,
    coalesce(productsBought, 0) AS bought,
    coalesce(productsSold, 0) AS sold,
    coalesce(productsListed, 0) AS listed,
    coalesce(daysSinceLastLogin <= 30, false) AS back30,
    coalesce(daysSinceLastLogin <= 365, false) AS back365,
    coalesce(hasAnyApp, false) AS has_app
  FROM silver_users
  WHERE seniority IS NOT NULL
)
SELECT
  days AS accountdays,
  days DIV 30 AS accountmonths,
  count(*) AS users,
  count_if(bought > 0) AS buyers,
  count_if(sold > 0 OR listed > 0) AS sellers,
  round(100 * count_if(bought > 0) / count(*), 1) AS buyerrate,
  round(100 * count_if(sold > 0 OR listed > 0) / count(*), 1) AS sellerrate,
  round(100 * count_if(back30) / count(*), 1) AS returnrate30,
  round(100 * count_if(back365) / count(*), 1) AS returnrate365,
  round(100 * count_if(has_app) / count(*), 1) AS apprate,
  sum(bought) AS productsbought,
  sum(sold) AS productssold,
  round(sum(bought) / count(*), 2) AS boughtperuser,
  round(sum(sold) / count(*), 2) AS soldperuser
FROM people
GROUP BY days
ORDER BY accountdays
