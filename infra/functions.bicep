// The Function App on Flex Consumption, with its settings.
param planName string
param appName string
param identityId string
param identityClientId string
param hostStorage object
param lake object
param dataFactoryName string
param databricksUrl string
param insightsConnection string
param workspaceId string
@description('Schedule of the reconciling timer; the bill of an idle system follows from it.')
param tick string
@description('What takes the place of connections of source files, by source.')
param sources object
param instanceMemoryMB int
param maximumInstanceCount int
@description('Instances of the blob trigger that are kept warm; they are billed by the hour.')
param alwaysReady int
param isPrivate bool
@description('Subnet of the app in `network=private`.')
param subnetId string
@description('Address ranges beside Event Grid and Data Factory that may call a private app.')
param allowedIps array
@description('Application (client) id by which people sign in; empty leaves the keys alone.')
param authClientId string
param location string
param tags object

var callers = concat(
  [
    { name: 'event-grid', tag: 'ServiceTag', ipAddress: 'AzureEventGrid', action: 'Allow', priority: 100 }
    { name: 'data-factory', tag: 'ServiceTag', ipAddress: 'DataFactory', action: 'Allow', priority: 110 }
  ],
  map(range(0, length(allowedIps)), i => {
    name: 'people-${i}'
    tag: 'Default'
    ipAddress: allowedIps[i]
    action: 'Allow'
    priority: 200 + i
  })
)

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: appName
  location: location
  tags: union(tags, { 'azd-service-name': 'functions' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    clientAffinityEnabled: false
    publicNetworkAccess: 'Enabled' // Event Grid delivers to the public endpoint; see callers
    virtualNetworkSubnetId: isPrivate ? subnetId : null
    outboundVnetRouting: isPrivate
      ? {
          allTraffic: true
        }
      : null
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: hostStorage.packagesUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReady > 0
          ? [
              {
                name: 'blob'
                instanceCount: alwaysReady
              }
            ]
          : []
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      ipSecurityRestrictions: isPrivate ? callers : null
      ipSecurityRestrictionsDefaultAction: isPrivate ? 'Deny' : 'Allow'
      appSettings: concat(
        [
          { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
          { name: 'AzureWebJobsStorage__clientId', value: identityClientId }
          { name: 'AzureWebJobsStorage__blobServiceUri', value: hostStorage.blobUrl }
          { name: 'AzureWebJobsStorage__queueServiceUri', value: hostStorage.queueUrl }
          { name: 'AzureWebJobsStorage__tableServiceUri', value: hostStorage.tableUrl }
          { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insightsConnection }
          { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'ClientId=${identityClientId};Authorization=AAD' }
          { name: 'AZURE_CLIENT_ID', value: identityClientId } // which identity azure-identity takes
          { name: 'LANDFALL_LAKE__credential', value: 'managedidentity' }
          { name: 'LANDFALL_LAKE__clientId', value: identityClientId }
          { name: 'LANDFALL_LAKE__blobServiceUri', value: lake.blobUrl }
          { name: 'LANDFALL_LAKE__queueServiceUri', value: lake.queueUrl }
          { name: 'LANDFALL_ADF_SUBSCRIPTION', value: subscription().subscriptionId }
          { name: 'LANDFALL_ADF_RESOURCE_GROUP', value: resourceGroup().name }
          { name: 'LANDFALL_ADF_FACTORY', value: dataFactoryName }
          { name: 'DATABRICKS_HOST', value: databricksUrl }
          { name: 'LANDFALL_TICK', value: tick }
          { name: 'PYTHON_THREADPOOL_THREAD_COUNT', value: '8' } // the worker's own default is 1
        ],
        map(items(sources), source => {
          name: 'LANDFALL_SOURCE_${toUpper(source.key)}'
          value: string(source.value)
        })
      )
    }
  }
}

// No user and password for deployments: azd and the workflow bring an Entra token.
resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

// People sign in by Entra ID; who brings a function key or delivers an event is let through to the
// host, which asks for that.
resource auth 'Microsoft.Web/sites/config@2025-03-01' = if (!empty(authClientId)) {
  parent: app
  name: 'authsettingsV2'
  properties: {
    globalValidation: {
      requireAuthentication: false
      unauthenticatedClientAction: 'AllowAnonymous'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: authClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: ['api://${authClientId}', authClientId]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: app
  name: 'landfall'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AppServiceAuthenticationLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = app.id
output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
