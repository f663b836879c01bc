// What Azure measures itself and somebody should hear of, and a budget.
param actionGroupName string
@description('Who is told; empty: the alerts are raised, and nobody is told.')
param email string
param functionAppId string
param insightsId string
param topicId string
param dataFactoryId string
param lakeId string
param withDatabase bool
param databaseId string
@description('In the currency of the subscription; 0 for no budget.')
param monthlyBudget int
param budgetStart string
param location string
param tags object

var told = !empty(email)
var metrics = concat(
  [
    {
      name: 'events-dead-lettered'
      text: 'Event Grid gave events up. The sweep takes the files in; the cause stands in the container deadletter.'
      scope: topicId
      namespace: 'Microsoft.EventGrid/systemTopics'
      metric: 'DeadLetteredCount'
      aggregation: 'Total'
      operator: 'GreaterThan'
      threshold: 0
      severity: 2
    }
    {
      name: 'pipelines-failed'
      text: 'Pipeline runs failed. GET /backlog says what waits for a person.'
      scope: dataFactoryId
      namespace: 'Microsoft.DataFactory/factories'
      metric: 'PipelineFailedRuns'
      aggregation: 'Total'
      operator: 'GreaterThan'
      threshold: 5
      severity: 2
    }
    {
      name: 'app-answers-5xx'
      text: 'The app answers with errors of the server.'
      scope: functionAppId
      namespace: 'Microsoft.Web/sites'
      metric: 'Http5xx'
      aggregation: 'Total'
      operator: 'GreaterThan'
      threshold: 10
      severity: 2
    }
    {
      name: 'lake-unavailable'
      text: 'The storage account of the lake answers too few requests.'
      scope: lakeId
      namespace: 'Microsoft.Storage/storageAccounts'
      metric: 'Availability'
      aggregation: 'Average'
      operator: 'LessThan'
      threshold: 99
      severity: 1
    }
  ],
  withDatabase
    ? [
        {
          name: 'database-fills'
          text: 'The disk of the reports database is nearly full.'
          scope: databaseId
          namespace: 'Microsoft.DBforPostgreSQL/flexibleServers'
          metric: 'storage_percent'
          aggregation: 'Average'
          operator: 'GreaterThan'
          threshold: 85
          severity: 2
        }
      ]
    : []
)

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (told) {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'landfall'
    enabled: true
    emailReceivers: [
      {
        name: 'operators'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource metricAlerts 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for row in metrics: {
    name: row.name
    location: 'global'
    tags: tags
    properties: {
      description: row.text
      severity: row.severity
      enabled: true
      scopes: [row.scope]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: row.metric
            metricNamespace: row.namespace
            metricName: row.metric
            timeAggregation: row.aggregation
            operator: row.operator
            threshold: row.threshold
          }
        ]
      }
      actions: told
        ? [
            {
              actionGroupId: people.id
            }
          ]
        : []
    }
  }
]

// Without its timer the system takes in only what events tell of, and reminds nobody.
resource noTick 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'timer-silent'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'The reconciling timer is silent'
    description: 'The function reconcile has not run for 30 minutes.'
    severity: 1
    enabled: true
    scopes: [insightsId]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT30M'
    criteria: {
      allOf: [
        {
          query: 'requests | where name == "reconcile" or operation_Name == "reconcile"'
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: told ? [people.id] : []
    }
  }
}

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = if (monthlyBudget > 0) {
  name: 'landfall'
  properties: {
    category: 'Cost'
    amount: monthlyBudget
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: budgetStart
    }
    notifications: told
      ? {
          most: {
            enabled: true
            operator: 'GreaterThan'
            threshold: 80
            thresholdType: 'Actual'
            contactEmails: [email]
          }
          forecast: {
            enabled: true
            operator: 'GreaterThan'
            threshold: 100
            thresholdType: 'Forecasted'
            contactEmails: [email]
          }
        }
      : {}
  }
}
