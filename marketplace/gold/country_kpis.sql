WITH people AS (
  SELECT
    coalesce(country, '(unknown)') AS country,
    gender,
    coalesce(productsBought, 0) AS bought,
    coalesce(productsSold, 0) AS sold,
    coalesce(productsListed, 0) AS listed,
    coalesce(productsWished, 0) AS wished,
    coalesce(socialProductsLiked, 0) AS liked,
    -- A decimal is dear to make of a double, and few have sold.
    CASE WHEN productsSold > 0 THEN CAST(productsPassRate AS DECIMAL(9, 4)) END AS pass_rate,
    hasAnyApp AS has_app,
    daysSinceLastLogin AS offline
  FROM silver_users
)
SELECT
  country,
  count(*) AS users,
  count_if(gender = 'F') AS femaleusers,
  count_if(gender = 'M') AS maleusers,
  count_if(bought > 0 OR sold > 0 OR listed > 0 OR wished > 0 OR liked > 0) AS activeusers,
  count_if(bought > 0) AS buyers,
  count_if(sold > 0 OR listed > 0) AS sellers,
  count_if(bought > 0 AND (sold > 0 OR listed > 0)) AS buyersandsellers,
  round(
    100 * count_if(bought > 0 OR sold > 0 OR listed > 0 OR wished > 0 OR liked > 0) / count(*), 1
  ) AS activerate,
  round(100 * count_if(bought > 0) / count(*), 1) AS buyerrate,
  round(100 * count_if(sold > 0 OR listed > 0) / count(*), 1) AS sellerrate,
  round(100 * count_if(has_app) / count(*), 1) AS apprate,
  sum(bought) AS productsbought,
  sum(sold) AS productssold,
  sum(listed) AS productslisted,
  round(try_divide(sum(bought), count_if(bought > 0)), 2) AS boughtperbuyer,
  round(try_divide(sum(sold), count_if(sold > 0)), 2) AS soldperseller,
  CAST(round(avg(pass_rate), 2) AS DOUBLE) AS passrate,
  percentile(offline, 0.5) AS offlinedays
FROM people
GROUP BY country
ORDER BY users DESC, country
